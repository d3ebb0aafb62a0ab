#!/usr/bin/env bash
# Sends traces to a collector that reads them with the Python package `opentelemetry-proto`, while the engine is killed again and
# again.
#
#   scripts/oracles/otel.sh [arguments of otel.py, such as --kills 10]
#
# Environment:
#   STEPWELL  a binary with the feature `otel` [target/release/stepwell]
#   PYTHON    a Python with `pip install opentelemetry-proto` [python3]
# Exit 0: every span is valid, has one id and one parent that arrives too, and none is missing. 2: something is missing.
set -euo pipefail

python=${PYTHON:-python3}
stepwell=${STEPWELL:-$(dirname "$0")/../../target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release --features otel, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import opentelemetry.proto.collector.trace.v1.trace_service_pb2' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install opentelemetry-proto; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$(dirname "$0")/otel.py" --stepwell "$stepwell" "$@"
