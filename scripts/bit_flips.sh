#!/usr/bin/env bash
# Flips N random bits, one at a time, in a state directory of real runs, and prints how many were detected,
# harmless and silent in each kind of file. Exit 0: none was silent.
#
#   scripts/bit_flips.sh [N] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."

export STEPWELL_BIT_FLIPS=${1:-10000} STEPWELL_BIT_FLIPS_SEED=${2:-$(date +%s)}
printf '%s flips, seed %s\n' "$STEPWELL_BIT_FLIPS" "$STEPWELL_BIT_FLIPS_SEED"
cargo test --no-default-features --test it -- --nocapture --exact bit_flips::no_flipped_bit_is_silent
