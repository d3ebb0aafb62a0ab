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

# `cargo test` builds the program too. `cargo build` would compile every dependency again: without dev-dependencies,
# their features differ.
program="${CARGO_TARGET_DIR:-target}/debug/stepwell"

step "format"
cargo fmt --check

step "lints"
cargo clippy --all-targets --quiet -- -D warnings
cargo clippy --all-targets --quiet --no-default-features -- -D warnings
cargo clippy --all-targets --quiet --no-default-features --features failpoints -- -D warnings

step "tests"
cargo test 2>&1 | tee -a "$log"

step "smoke test: train, kill -9, resume, compare"
"$program" smoke-test

step "tests without a training backend"
cargo test --no-default-features 2>&1 | tee -a "$log"

step "30 kills of engine, worker and step"
if [ -d /proc/self ] && command -v python3 >/dev/null; then
  python3 scripts/drill/drill.py "$program" 30
else
  echo "skipped: needs Linux and python3"
fi

step "a fault at every failpoint"
cargo test --no-default-features --features failpoints --test it failpoints 2>&1 | tee -a "$log"

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# The GPU backends need a GPU to run; DOCS_RS=1 type-checks them without downloading LLVM.
step "type check: wgpu and cuda"
DOCS_RS=1 cargo check --quiet --features wgpu,cuda

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
