#!/usr/bin/env bash
# Writes every generated page anew, from the code that it describes.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python scripts/lifecycle.py
.venv/bin/python scripts/policy_schema.py
.venv/bin/python scripts/policy_page.py
.venv/bin/python -m tests.conformance
.venv/bin/python -m tests.langgraph.dropin.differences
.venv/bin/python scripts/readme.py
