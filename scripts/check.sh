#!/usr/bin/env bash
# Everything that must hold before a change lands. Needs Rust and a C compiler; no network beyond crates.io.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --check

step "lints"
cargo clippy --all-targets --quiet -- -D warnings
cargo clippy --all-targets --quiet --no-default-features -- -D warnings
cargo clippy --all-targets --quiet --no-default-features --features failpoints -- -D warnings

step "tests"
cargo test 2>&1 | tee -a "$log"

step "tests without a training backend"
cargo test --no-default-features 2>&1 | tee -a "$log"

step "a fault at every failpoint"
cargo test --no-default-features --features failpoints --test it failpoints 2>&1 | tee -a "$log"

step "30 kills of engine, worker and step"
if [ -d /proc/self ] && command -v python3 >/dev/null; then
  cargo build --quiet --no-default-features
  python3 scripts/drill/drill.py "${CARGO_TARGET_DIR:-target}/debug/stepwell" 30
else
  echo "skipped: needs Linux and python3"
fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

step "smoke test: train, kill -9, resume, compare"
cargo run --quiet -- smoke-test

# The GPU backends need a GPU to run; DOCS_RS=1 type-checks them without downloading LLVM.
for backend in wgpu cuda; do
  step "type check: $backend"
  DOCS_RS=1 cargo check --quiet --features "$backend"
done

if command -v cargo-deny >/dev/null; then
  step "licences, bans, sources"
  cargo deny check licenses bans sources
else
  step "licences, bans, sources: skipped, cargo-deny is not installed"
fi

printf '\n'
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
