#!/usr/bin/env bash
# Kills a training five times and compares what TensorBoard reads of it with an undisturbed training.
#
#   scripts/oracles/tensorboard.sh [arguments of event_files.py, such as --kills 10 --seed 7]
#
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install tensorboard tbparse` [python3]
# Exit 0: all readers agree. 2: something that the script needs is missing.
set -euo pipefail

python=${PYTHON:-python3}
stepwell=${STEPWELL:-$(dirname "$0")/../../target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import tensorboard, tensorboard_data_server, tbparse' 2>/dev/null || {
  echo "$python lacks packages: python3 -m venv venv; venv/bin/pip install tensorboard tbparse; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$(dirname "$0")/event_files.py" --stepwell "$stepwell" "$@"
