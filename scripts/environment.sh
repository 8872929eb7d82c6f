#!/usr/bin/env bash
# environment.sh FOLDER REQUIREMENTS: makes or updates a virtual environment with exactly
# those versions, checked against their hashes, and this project in it, editable.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
requirements=$2

if ! "$venv/bin/python" -c '' 2>/dev/null; then
  python=$(scripts/python.sh)
  echo "Creating $venv with $("$python" --version)"
  "$python" -m venv --clear "$venv"
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! "$venv/bin/python" -m uv --version 2>/dev/null | grep -qF "uv $(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/bootstrap.txt) "; then
  echo "Installing uv, which installs the rest"
  "$venv/bin/python" -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
fi

quiet=--quiet # its list of 100 packages; but a person may watch its progress
if [ -t 2 ]; then
  quiet=
fi
echo "Installing $requirements ($(grep -c '^[a-z]' "$requirements") packages; the first time they are downloaded)"
"$venv/bin/uv" pip install $quiet --python "$venv/bin/python" --require-hashes -r "$requirements"
"$venv/bin/uv" pip install --python "$venv/bin/python" --quiet --no-deps --no-build-isolation --editable .
