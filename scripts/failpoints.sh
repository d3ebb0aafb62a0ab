#!/usr/bin/env bash
# failpoints.sh [ROUNDS]: causes a fault at every failpoint, in each round at other moments, with pauses of five
# seconds. One round with short pauses is part of check.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
export STEPWELL_FAILPOINT_ROUNDS=${1:-5} STEPWELL_FAILPOINT_PAUSE_MS=${STEPWELL_FAILPOINT_PAUSE_MS:-5000}
exec cargo test -p stepwell-features -p stepwell --no-default-features --features stepwell/failpoints --test it failpoints:: -- --nocapture
