#!/usr/bin/env bash
# Fuzzes every route of a server with schemathesis: no answer may be a failure of the server, and every answer must be one that
# OpenAPI describes. Streams of events never end, so `streams.py` reads their beginnings.
#
#   scripts/oracles/api.sh [--examples N]
#
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install schemathesis` [python3]
# Exit 0: nothing found. 2: something is missing.
set -euo pipefail

python=${PYTHON:-python3}
stepwell=${STEPWELL:-$(dirname "$0")/../../target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import schemathesis' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install schemathesis; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$(dirname "$0")/api.py" --stepwell "$stepwell" "$@"
