#!/usr/bin/env bash
# Compiles requirements/*.txt: every version pinned, every file hashed, for every
# platform and Python >= 3.11. Existing pins are kept; UPGRADE=1 takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-.venv/bin/uv}
compile() {
  echo "Compiling requirements/$1.txt"
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "make lock" -o "requirements/$1.txt" "${@:2}"
}

upgrade=()
if [ -n "${UPGRADE:-}" ]; then
  upgrade=(--upgrade)
fi

compile bootstrap "${upgrade[@]}" requirements/bootstrap.in
compile dev "${upgrade[@]}" --extra all --group build --group dev pyproject.toml
compile run --constraint requirements/dev.txt --extra all --group build pyproject.toml
cp requirements/dev.txt requirements/lowest.txt # pins are kept where they still fit
compile lowest --extra all --group build --group dev pyproject.toml requirements/lowest.in
cp requirements/dev.txt requirements/bench.txt # likewise: AgentDojo caps some
compile bench --extra bench --extra langgraph --group build --group dev pyproject.toml
