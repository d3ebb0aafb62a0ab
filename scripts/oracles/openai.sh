#!/usr/bin/env bash
# Drives `stepwell serve` with the official `openai` client: files, batches, paging, cancel, errors, streams, webhooks; through a
# proxy that loses the first answer of every POST; and over `kill -9` of the server.
#
#   scripts/oracles/openai.sh [--model PATH] [--kills 5] [--rows 40]
#
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install openai` [python3]
# Exit 0: no exception that was not expected. 2: something that the script needs is missing.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
stepwell=${STEPWELL:-$root/target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import openai' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install openai; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$root/scripts/oracles/openai_client.py" --stepwell "$stepwell" "$@"
