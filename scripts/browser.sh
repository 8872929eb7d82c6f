#!/usr/bin/env bash
# Prints the path of a browser for the tests, installing Chromium if there is none.
# Prints nothing, and says why on stderr, if there can be none; in CI that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}

works() {
  command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1
}

first_that_works() {
  local candidate
  for candidate in "$@"; do
    if works "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

may_be_root() {
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Runs a command whose output is of interest only if it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || {
    printf '%s\n' "$output" >&2
    return 1
  }
}

apt_install() {
  command -v apt-get >/dev/null && may_be_root || return 1
  echo "No browser found: installing Debian's chromium for the browser tests (a minute)" >&2
  quietly as_root apt-get update -qq &&
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends chromium
}

playwright_install() {
  local libraries=()
  if command -v apt-get >/dev/null && may_be_root; then
    libraries=(--with-deps)
  fi
  echo "No browser found: downloading Playwright's chromium for the browser tests (a minute)" >&2
  quietly "$python" -m playwright install ${libraries[@]+"${libraries[@]}"} chromium
}

playwright_path() {
  "$python" - <<'PYTHON'
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
PYTHON
}

if [ -n "${SIGNOFF_TEST_BROWSER:-}" ]; then
  works "$SIGNOFF_TEST_BROWSER" || {
    echo "SIGNOFF_TEST_BROWSER=$SIGNOFF_TEST_BROWSER does not start: name a Chromium or Chrome." >&2
    exit 1
  }
  echo "$SIGNOFF_TEST_BROWSER"
  exit
fi

first_that_works chromium google-chrome chromium-browser && exit
first_that_works "$(playwright_path)" && exit
if apt_install && first_that_works chromium; then exit; fi
if playwright_install && first_that_works "$(playwright_path)"; then exit; fi

echo "No browser: the browser tests cannot run. Install chromium, or set SIGNOFF_TEST_BROWSER." >&2
[ "${CI:-}" != true ]
