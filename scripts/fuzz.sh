#!/usr/bin/env bash
# Searches for input that violates a property of a reader: SECONDS per target, on one core. Prints a table,
# and fails when it finds something. fuzz/README.md says what to do with a finding.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

# The targets write small files; on a disk they would mostly wait for it.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# Stable toolchains have no sanitizers, and safe Rust needs none. Dependencies behave as in a normal build.
flags=(--sanitizer none --no-cfg-fuzzing --strip-dead-code)
# Two targets read files that training writes.
skip='checkpoint|weights'
if [ -n "${FEATURES:-}" ]; then flags+=(--features "$FEATURES") skip='none'; fi
cargo fuzz build "${flags[@]}"
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo fuzz list | grep -vxE "$skip"); fi

number() { sed -n "s/^stat::$1: *//p" "$2" | tail -1; }
failed=0
printf '%-12s %12s %10s %8s %8s  %s\n' target executions "per s" features "MiB" found
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  # Dictionary: the words of the seeds.
  cat "seeds/$target"/* | LC_ALL=C tr -cs 'A-Za-z_.@*/' '\n' | LC_ALL=C sort -u | sed -n 's/^..\{1,30\}$/"&"/p' >"$logs/words"
  found=nothing
  cargo fuzz run "${flags[@]}" "$target" "corpus/$target" "seeds/$target" -- -max_total_time="$seconds" -max_len=4096 \
    -timeout=10 -rss_limit_mb=2048 -dict="$logs/words" -print_final_stats=1 >"$logs/$target" 2>&1 || found=failed
  if [ "$found" = failed ]; then
    failed=1
    found=$(grep -ohE 'artifacts/[^ ]*/[a-z]+-[0-9a-f]+' "$logs/$target" | tail -1 || true)
    grep -hE "panicked at|libFuzzer: |ERROR" -A2 "$logs/$target" | head -8 >&2
  fi
  features=$(grep -oE 'ft: [0-9]+' "$logs/$target" | tail -1 | cut -c5- || true)
  printf '%-12s %12s %10s %8s %8s  %s\n' "$target" "$(number number_of_executed_units "$logs/$target")" \
    "$(number average_exec_per_sec "$logs/$target")" "$features" "$(number peak_rss_mb "$logs/$target")" "$found"
done
exit "$failed"
