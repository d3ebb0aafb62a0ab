#!/usr/bin/env bash
# Checks Stepwell on a GPU within ten minutes. Builds nothing: it takes the programs of `scripts/gpu_build.sh`. Needs
# python3, and for the comparison a PyTorch with CUDA.
#
# Usage: gpu_check.sh [--programs FOLDER] [--out FOLDER] [--seconds 570] [--device NAME] [--small] [--only PART,...]
#                     [--python PATH]
#
# In the folder that `gpu_build.sh` made, it finds the programs itself. The file results.json in the folder of `--out` is
# written after every result, so that a check that is cut off still tells what it found. Each part is `ok`, `failed` or
# `skipped`, with the reason and its seconds. Exit status: 0 when no part failed, 1 when one did, 2 for wrong arguments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if ! command -v python3 >/dev/null; then
  echo "gpu_check.sh: python3 is not installed" >&2
  exit 2
fi
export PYTHONDONTWRITEBYTECODE=1
programs=()
if [ -d "$here/bin" ]; then
  programs=(--programs "$here/bin")
fi
exec python3 "$here/gpu/check.py" "${programs[@]}" "$@"
