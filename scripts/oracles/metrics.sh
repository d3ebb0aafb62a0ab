#!/usr/bin/env bash
# Reads `/metrics` of a server with the parsers of the Python package `prometheus_client`, in both formats, and compares it with
# `/api/v1/metrics.json`.
#
#   scripts/oracles/metrics.sh
#
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install prometheus_client` [python3]
# Exit 0: both parsers read everything, names have units, and the numbers agree. 2: something is missing.
set -euo pipefail

python=${PYTHON:-python3}
stepwell=${STEPWELL:-$(dirname "$0")/../../target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import prometheus_client' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install prometheus_client; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$(dirname "$0")/metrics.py" --stepwell "$stepwell" "$@"
