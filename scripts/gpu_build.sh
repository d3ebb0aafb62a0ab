#!/usr/bin/env bash
# Builds what `scripts/gpu_check.sh` needs on a GPU host that has neither Rust nor a network, and puts it into one folder.
#
# Usage: scripts/gpu_build.sh [FOLDER]          (default: target/gpu-check)
#
#   FEATURES=flex,wgpu,vulkan,cuda   backends in the build
#   PROFILE=release                  or dev, which builds faster and has assertions
#   LLVM_STUBS=stubs.o               for a build machine that cannot download burn's LLVM bundle, which CUDA kernels do
#                                    not use here: an object file that defines the missing symbols
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-${CARGO_TARGET_DIR:-target}/gpu-check}
features=${FEATURES:-flex,wgpu,vulkan,cuda}
profile=${PROFILE:-release}
if [ -n "${LLVM_STUBS:-}" ]; then
  export DOCS_RS=1 RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=$(realpath "$LLVM_STUBS")"
fi
# The CUDA headers are not needed to build; the driver of the host must support this version.
export CUDARC_CUDA_VERSION=${CUDARC_CUDA_VERSION:-13000}

# `stepwell-features` gives both builds the same dependencies; see its manifest.
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
build=(--profile "$profile" -p stepwell-features --features "$features" --message-format=json-render-diagnostics)
echo "building with $features, profile $profile"
cargo build "${build[@]}" -p stepwell --bin stepwell >"$messages"
cargo test "${build[@]}" -p stepwell-train --lib --no-run >>"$messages"

rm -rf "$folder"
mkdir -p "$folder/gpu"
cp scripts/gpu_check.sh scripts/bench_line.py scripts/bench_torch.py scripts/gpu/README.txt "$folder"
cp scripts/gpu/*.py scripts/gpu/*.toml "$folder/gpu"
rm "$folder/gpu/pack.py"
python3 scripts/gpu/pack.py "$messages" "$folder" "$features" "$profile"
