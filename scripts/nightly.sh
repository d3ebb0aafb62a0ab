#!/usr/bin/env bash
# Runs the long drills. Each prints what it did; parts that cannot run here (root, tools) are skipped with a message.
set -euo pipefail
cd "$(dirname "$0")/.."

# The GPU backends need a GPU to run; DOCS_RS=1 type-checks them without downloading LLVM.
with_gpus=(--workspace --exclude stepwell-lease-model --features stepwell-features/gpu,stepwell/wgpu,stepwell/cuda)
DOCS_RS=1 cargo clippy "${with_gpus[@]}" --all-targets --quiet -- -D warnings
DOCS_RS=1 RUSTDOCFLAGS="-D warnings" cargo doc "${with_gpus[@]}" --no-deps --quiet

cargo build --release --no-default-features
python3 scripts/drill/drill.py "${CARGO_TARGET_DIR:-target}/release/stepwell" "${KILLS:-1000}"
scripts/bit_flips.sh "${FLIPS:-10000}"
scripts/simulate.sh "${SEEDS:-1000000}"
cargo test -p stepwell-features -p stepwell -p stepwell-steps -p stepwell-engine -p stepwell-bench --no-default-features --lib
cargo test -p stepwell-features -p stepwell --no-default-features --test it -- cli:: normal_build::
FEATURES=train scripts/fuzz.sh "${FUZZ_SECONDS:-600}"
scripts/failpoints.sh "${ROUNDS:-3}"
scripts/io_faults.sh
for fs in ext4 xfs; do
  scripts/power_cut.sh "$fs" "${CUTS:-1000}"
done
STEPWELL="${CARGO_TARGET_DIR:-target}/release/stepwell" scripts/python_package.sh "${PYTHON_KILLS:-10}"
STEPWELL_REMOTE_KILLS=all cargo test -p stepwell-features -p stepwell --no-default-features --features stepwell/failpoints --test it -- remote::kills
# A Slurm and an SSH server of their own; exit code 77 says that one is not installed.
for beside in slurm sshd; do
  scripts/drill/$beside.sh cargo test -p stepwell-features -p stepwell --no-default-features --test it -- executors:: || [ $? = 77 ]
  scripts/drill/$beside.sh python3 scripts/drill/elsewhere.py "${CARGO_TARGET_DIR:-target}/release/stepwell" \
    --kills "${ELSEWHERE_KILLS:-20}" || [ $? = 77 ]
done
if command -v qemu-aarch64-static >/dev/null || [ "$(uname -m)" = aarch64 ]; then
  scripts/aarch64.sh
else
  echo "skipped: training on aarch64 needs qemu-aarch64-static"
fi
