#!/usr/bin/env bash
# Prints the first Python >= 3.11 that can make a virtual environment; installs Debian's
# package for that where root may.
set -euo pipefail

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  echo "signoff needs Python 3.11 or newer, and found none: install it (Debian, Ubuntu: apt-get install python3 python3-venv)." >&2
  return 1
}

can_make_environments() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null
}

python=$(find_python)
if ! can_make_environments "$python"; then
  package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$python can't make virtual environments: install its venv module (Debian, Ubuntu: sudo apt-get install $package)." >&2
    exit 1
  fi
  echo "Installing $package: this Python can't make virtual environments without it" >&2
  if ! output=$({
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$package"
  } 2>&1); then
    printf '%s\n' "$output" >&2
    exit 1
  fi
fi
echo "$python"
