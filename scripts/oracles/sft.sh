#!/usr/bin/env bash
# Tunes a model on the same examples with Stepwell and with TRL's SFTTrainer, and compares: ids, masks, and the loss of every step.
#
#   scripts/oracles/sft.sh --model FOLDER [--steps 20]
#
# FOLDER holds an instruction model in Hugging Face's form, with a chat template (scripts/golden/make_smollm2.py makes one).
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install trl torch transformers` [python3]
# Exit 0: equal. 1: different. 2: something that the script needs is missing.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
stepwell=${STEPWELL:-$root/target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import datasets, torch, transformers, trl' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install trl torch transformers; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$root/scripts/oracles/sft_losses.py" --stepwell "$stepwell" "$@"
