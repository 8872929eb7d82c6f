#!/usr/bin/env bash
# Every fast check, each with the time it took; all of them run, also after a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
failures=()

check() {
  local name=$1 started=$SECONDS
  shift
  echo "== $name"
  "$@" || failures+=("$name")
  echo "   $((SECONDS - started)) s"
}

check "format" ruff format --check .
check "lint" ruff check .
check "types" mypy
check "import contracts" lint-imports --no-logo --no-cache
check "fast tests, on SQLite" pytest --quiet --numprocesses 2 \
  -m "not slow and not browser" -k "not postgresql" \
  tests/domain tests/service tests/test_public_api.py tests/test_layout.py

echo
if [ "${#failures[@]}" -gt 0 ]; then
  echo "FAILED after $SECONDS s: ${failures[*]}"
  exit 1
fi
echo "All checks passed in $SECONDS s"
