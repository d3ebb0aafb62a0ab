#!/usr/bin/env bash
# Runs every check that a change must pass. Needs Rust and a C compiler; no network beyond crates.io.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
times=$(mktemp)
trap 'rm -f "$log" "$times"' EXIT
part=""
started=$SECONDS

# Records the time of the previous part and starts the next one.
step() {
  [ -z "$part" ] || printf '%4d s  %s\n' $((SECONDS - started)) "$part" >>"$times"
  part=$*
  started=$SECONDS
  [ -z "$part" ] || printf '\n== %s\n' "$part"
}

# Each part selects packages and features so that no third-party crate is built twice: once for programs, once for lints
# and documentation. `stepwell-features` is part of a selection for that purpose only. The backends of GPUs double the
# crates, so the nightly drills type-check those.
workspace=(--workspace --exclude stepwell-lease-model)
without_burn=(-p stepwell-features -p stepwell -p stepwell-steps -p stepwell-engine -p stepwell-bench --no-default-features)
optional=stepwell/failpoints,stepwell/otel
program="${CARGO_TARGET_DIR:-target}/debug/stepwell"

step "format"
cargo fmt --all --check

# The second one is the program without burn, which the nightly drills also run.
step "lints, also without burn"
cargo clippy "${workspace[@]}" --all-targets --features "$optional" --quiet -- -D warnings
cargo clippy "${without_burn[@]}" --all-targets --features "$optional" --quiet -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc "${workspace[@]}" --no-deps --features "$optional" --quiet

# No documentation has tests. With failpoints, a fault is tried at each of them; a program that is not told to fail never does.
step "tests"
cargo test "${workspace[@]}" --features "$optional" --lib --bins --tests 2>&1 | tee -a "$log"

step "smoke test: train, kill -9, resume, compare"
"$program" smoke-test

step "30 kills of engine, worker and step"
if [ -d /proc/self ] && command -v python3 >/dev/null; then
  python3 scripts/drill/drill.py "$program" 30
else
  echo "skipped: needs Linux and python3"
fi

step "model of leases and fences"
cargo test -p stepwell-features -p stepwell-lease-model --lib 2>&1 | tee -a "$log"

step "every schedule of the thread team"
RUSTFLAGS="--cfg loom" cargo test -p stepwell-thread-team --lib --release --target-dir "${CARGO_TARGET_DIR:-target}/loom" 2>&1 | tee -a "$log"

if command -v cargo-deny >/dev/null; then
  step "licences, bans, sources"
  cargo deny check licenses bans sources
else
  step "licences, bans, sources: skipped, cargo-deny is not installed"
fi

step ""
printf '\nTime of each part:\n'
cat "$times"
printf '\n'
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
