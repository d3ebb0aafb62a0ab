#!/usr/bin/env bash
# Kills the example scripts of the Python package with SIGKILL at random moments, and compares weights and curves with
# undisturbed runs. Takes about half an hour.
#
#   scripts/python_package.sh [KILLS]     10 for each script by default
#
# Environment:
#   STEPWELL    the binary [target/release/stepwell]
#   PYTHON      a Python with torch, transformers, accelerate and lightning [one in a temporary folder, installed from PyPI]
#   SEED        seed of the random moments [the time]
# Needs Linux. Exit 0: no difference.
set -euo pipefail

cd "$(dirname "$0")/.."
kills=${1:-10}
stepwell=$(realpath "${STEPWELL:-target/release/stepwell}")
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$dir/venv"
  PYTHON=$dir/venv/bin/python3
  "$PYTHON" -m pip install --quiet torch transformers accelerate lightning safetensors numpy ||
    { echo "skipped: cannot install torch, transformers, accelerate and lightning from PyPI"; exit 0; }
fi
# The workflows start `python3`.
mkdir "$dir/bin"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(realpath --no-symlinks "$PYTHON")" >"$dir/bin/python3"
chmod +x "$dir/bin/python3"
export PATH=$dir/bin:$PATH PYTHONPATH=$PWD/python/src PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1

(cd python && python3 -W ignore::ResourceWarning -m unittest discover -s tests)
failed=0
for script in nanogpt hf_trainer lightning_trainer "hf_trainer -S workers=2" "lightning_trainer -S workers=2"; do
  # shellcheck disable=SC2086
  python3 scripts/drill/python_package.py "$stepwell" "$dir/runs-$RANDOM" ${script%% *} --kills "$kills" ${SEED:+--seed "$SEED"} \
    $(case $script in *\ *) echo "${script#* }" ;; esac) || failed=1
done
exit $failed
