#!/usr/bin/env bash
# Runs seeds of the engine's simulator: scripts/simulate.sh [SEEDS] [FIRST]. A failing seed prints the command that repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."

optimised=()
for crate in base workflow run store engine; do
  optimised+=(--config "profile.dev.package.stepwell-$crate.opt-level=2")
done
STEPWELL_SIM_SEEDS="${1:-100000}" STEPWELL_SIM_FROM="${2:-0}" cargo test "${optimised[@]}" -p stepwell-engine --lib -- \
  --exact simulation::tests::the_contract_holds_whatever_happens --nocapture
