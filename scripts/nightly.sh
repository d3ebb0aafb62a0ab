#!/usr/bin/env bash
# The long drills: 1,000 kills, and 1,000 power cuts on each file system (as root; elsewhere they are skipped).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --no-default-features
python3 scripts/drill/drill.py "${CARGO_TARGET_DIR:-target}/release/stepwell" "${KILLS:-1000}"
for fs in ext4 xfs; do
  scripts/power_cut.sh "$fs" "${CUTS:-1000}"
done
