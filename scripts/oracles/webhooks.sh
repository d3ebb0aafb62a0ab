#!/usr/bin/env bash
# Sends webhooks to a receiver that checks them with the Python packages `standardwebhooks` and `openai`, while the engine
# is killed again and again.
#
#   scripts/oracles/webhooks.sh [arguments of webhooks.py, such as --kills 20]
#
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install standardwebhooks openai` [python3]
# Exit 0: every event arrived under one id, and both packages accept every signature. 2: something is missing.
set -euo pipefail

python=${PYTHON:-python3}
stepwell=${STEPWELL:-$(dirname "$0")/../../target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import standardwebhooks, openai' 2>/dev/null || {
  echo "$python lacks packages: python3 -m venv venv; venv/bin/pip install standardwebhooks openai; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$(dirname "$0")/webhooks.py" --stepwell "$stepwell" "$@"
