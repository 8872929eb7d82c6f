#!/usr/bin/env bash
# The whole suite on the pinned versions, then what touches LangGraph on the lowest ones.
#   K=A3      only the tests of that row (or invariant: K=I4), on both databases
#   K=words   only the tests that pytest's -k selects
#   ARGS=...  further arguments for pytest
set -uo pipefail
cd "$(dirname "$0")/.."

K=${K:-}
selection=()
if [[ $K =~ ^[A-Z][0-9]+[a-z]?$ ]]; then
  selection=(--row "$K")
elif [ -n "$K" ]; then
  selection=(-k "$K")
fi
read -ra arguments <<<"${ARGS:-}"
workers=$(.venv/bin/python -c 'import os; print(min(4, os.cpu_count()))')

color=no
if [ -t 1 ]; then
  color=yes
fi

summaries=$(mktemp)
scratch=
trap 'rm -rf "$summaries" ${scratch:+"$scratch"}' EXIT

# The tests' SQLite files in memory where there is room: most of the time went to fsync,
# which no test is about. Killed processes lose nothing there.
free_kib=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
if [ -w /dev/shm ] && [ "${free_kib:-0}" -gt 4000000 ]; then
  scratch=$(mktemp -d /dev/shm/signoff-tests-XXXXXX)
  arguments+=("--basetemp=$scratch/tests")
fi

# Leaves the last line of pytest's output in $summaries, and returns pytest's status.
run() {
  local name=$1 python=$2 status
  shift 2
  echo "== $name"
  "$python" -m pytest --color="$color" "$@" ${selection[@]+"${selection[@]}"} \
    ${arguments[@]+"${arguments[@]}"} | tee "$summaries.last"
  status=${PIPESTATUS[0]}
  echo "$name: $(tail -n 1 "$summaries.last")" >>"$summaries"
  rm -f "$summaries.last"
  return "$status"
}

SIGNOFF_TEST_BROWSER=$(scripts/browser.sh) || exit 1
if [ -n "$SIGNOFF_TEST_BROWSER" ]; then
  export SIGNOFF_TEST_BROWSER
else
  unset SIGNOFF_TEST_BROWSER
fi

failed=0
if [ -n "$K" ]; then
  run "tests that match $K" .venv/bin/python || failed=$?
  if [ "$failed" -eq 5 ]; then
    echo "No test matches K=$K: a row is a letter and a number (K=A3), anything else goes to pytest -k." >&2
  fi
  exit "$failed"
fi

run "newest versions" .venv/bin/python --numprocesses "$workers" || failed=$?
make --no-print-directory lowest || exit 1
# What LangGraph's version can change: everything on SQLite, the rows on PostgreSQL too.
run "lowest versions" .venv-lowest/bin/python --numprocesses "$workers" \
  -k "not (postgresql or elsewhere) or it_does_not_go_wrong" \
  tests/langgraph tests/conformance || failed=$?

echo
cat "$summaries"
exit "$failed"
