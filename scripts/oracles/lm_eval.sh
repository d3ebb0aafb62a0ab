#!/usr/bin/env bash
# Runs two tasks of lm-eval, cloze and the perplexity of texts, against `stepwell serve` and against `transformers`, on the same checkpoint, and the
# cloze task with a step of kind `model.eval`: the numbers must be equal.
#
#   scripts/oracles/lm_eval.sh --model FOLDER --text FILE [--items 24]
#
# FOLDER holds a model and its tokenizer in Hugging Face's form (scripts/golden/make_smollm2.py makes one), FILE is any English text.
# Environment:
#   STEPWELL  the binary [target/release/stepwell]
#   PYTHON    a Python with `pip install 'lm-eval[api]' torch transformers` [python3]
# Exit 0: equal. 1: different. 2: something that the script needs is missing.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
stepwell=${STEPWELL:-$root/target/release/stepwell}
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
"$python" -c 'import lm_eval, tenacity, torch, transformers' 2>/dev/null || {
  echo "$python lacks a package: python3 -m venv venv; venv/bin/pip install 'lm-eval[api]' torch transformers; PYTHON=venv/bin/python" >&2
  exit 2
}
exec "$python" "$root/scripts/oracles/lm_eval_tasks.py" --stepwell "$stepwell" "$@"
