#!/usr/bin/env bash
# Kills a run with SIGKILL at N random moments and compares every output with an uninterrupted run.
#
#   scripts/kill_drill.sh N [WORKFLOW] [arguments of `stepwell run`, such as -S steps=200]
#
# Kills the engine, one worker, and everything at once, in turn. Environment:
#   STEPWELL    the binary [target/release/stepwell]
#   DRILL_DIR   where the state directories are made [a temporary folder, removed at the end]
#   SEED        seed of the random moments [the time]
# Needs the sqlite3 shell and Linux's /proc. Exit 0: no difference, no repeated commit, no orphan.
set -euo pipefail

# Engines are killed on purpose, so no crash loop counts.
export STEPWELL_CRASH_LOOP_LIMIT=0
kills=${1:?usage: kill_drill.sh N [WORKFLOW] [arguments]}
workflow=${2:-quickstart}
shift $(($# < 2 ? $# : 2))
stepwell=${STEPWELL:-$(dirname "$0")/../target/release/stepwell}
command -v sqlite3 >/dev/null || { echo "kill_drill.sh needs the sqlite3 shell" >&2; exit 2; }
[ -x "$stepwell" ] || { echo "no binary at $stepwell: cargo build --release, or set STEPWELL" >&2; exit 2; }
if [ -n "${DRILL_DIR:-}" ]; then dir=$DRILL_DIR; mkdir -p "$dir"; else dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; fi
RANDOM=${SEED:-$(date +%s)}

digests() { sqlite3 -readonly "$1/stepwell.db" "SELECT step || '/' || name, digest FROM step_output ORDER BY 1"; }
status() { sqlite3 -readonly "$1/stepwell.db" "SELECT status FROM run" 2>/dev/null || true; }
committed() { sqlite3 -readonly "$1/stepwell.db" "SELECT count(*) FROM event WHERE kind IN ('step_succeeded', 'checkpoint_committed')" 2>/dev/null || echo 0; }
now() { date +%s.%N; }
# Processes of this run's attempts, found by the mark in their environment.
marked() { grep -lzs "^STEPWELL_ATTEMPT_ID=$1/" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true; }

echo "uninterrupted run of $workflow"
before=$(now)
"$stepwell" --state-dir "$dir/whole" run "$workflow" "$@" >"$dir/whole.log" 2>&1 || { tail -5 "$dir/whole.log"; exit 1; }
whole=$(awk "BEGIN { print $(now) - $before }")
digests "$dir/whole" >"$dir/whole.digests"
echo "took $whole s; $(wc -l <"$dir/whole.digests") outputs"

orphans=0 repeated=0 different=0 done_kills=0 rounds=0
check_orphans() {
  local left
  for _ in $(seq 30); do
    left=$(marked "$1")
    [ -z "$left" ] && return
    sleep 0.1
  done
  orphans=$((orphans + $(wc -w <<<"$left")))
  echo "orphans after kill $done_kills: $left"
}

finish_round() {
  local state=$1
  if [ "$(status "$state")" != succeeded ]; then
    "$stepwell" --state-dir "$state" resume last >>"$state.log" 2>&1 || { tail -5 "$state.log"; exit 1; }
  fi
  digests "$state" >"$state.digests"
  diff "$dir/whole.digests" "$state.digests" || different=$((different + 1))
  local twice
  twice=$(sqlite3 -readonly "$state/stepwell.db" "SELECT count(*) FROM (SELECT 1 FROM event WHERE kind = 'step_succeeded'
    GROUP BY run, step HAVING count(*) > 1)")
  repeated=$((repeated + twice))
  local rows gaps
  rows=$(sqlite3 -readonly "$dir/whole/stepwell.db" "SELECT count(*), max(train_step) FROM metric")
  gaps=$(sqlite3 -readonly "$state/stepwell.db" "SELECT count(*), max(train_step) FROM metric")
  if [ "$rows" != "$gaps" ]; then echo "metric rows differ: $rows and $gaps"; different=$((different + 1)); fi
  "$stepwell" --state-dir "$state" db check >/dev/null || { echo "db check failed"; different=$((different + 1)); }
}

while [ "$done_kills" -lt "$kills" ]; do
  rounds=$((rounds + 1))
  state=$dir/killed-$rounds
  # On a GPU, use the kernels of the uninterrupted run.
  if [ -f "$dir/whole/tuning.json" ]; then mkdir -p "$state"; cp "$dir/whole/tuning.json" "$state/"; fi
  "$stepwell" --state-dir "$state" run "$workflow" "$@" >"$state.log" 2>&1 &
  engine=$!
  idle=0
  while [ "$done_kills" -lt "$kills" ]; do
    work=$(committed "$state")
    # At most twice the mean pause that spreads the kills over one run; longer while nothing is committed.
    sleep "$(awk "BEGIN { print 0.05 + (2 * $whole / $kills + 0.5 * $idle) * $RANDOM / 32768 }")"
    kill -0 "$engine" 2>/dev/null || break
    run=$(sqlite3 -readonly "$state/stepwell.db" "SELECT id FROM run" 2>/dev/null || true)
    workers=$(pgrep -P "$engine" || true)
    done_kills=$((done_kills + 1))
    case $((done_kills % 3)) in
      0) target=engine; kill -9 "$engine" ;;
      1) if [ -n "$workers" ]; then target=worker; kill -9 $(head -1 <<<"$workers") 2>/dev/null || true
         else target=engine; kill -9 "$engine"; fi ;;
      2) target=everything; kill -9 "$engine" $workers $( [ -z "$run" ] || marked "$run") 2>/dev/null || true ;;
    esac
    [ "$(committed "$state")" -gt "$work" ] && idle=0 || idle=$((idle + 1))
    if [ "$target" != worker ]; then
      wait "$engine" 2>/dev/null || true
      [ -z "$run" ] || check_orphans "$run"
      if [ -z "$run" ]; then
        "$stepwell" --state-dir "$state" run "$workflow" "$@" >>"$state.log" 2>&1 &
      else
        "$stepwell" --state-dir "$state" resume last >>"$state.log" 2>&1 &
      fi
      engine=$!
    fi
    printf '\rkill %d/%d (%s)   ' "$done_kills" "$kills" "$target"
  done
  wait "$engine" || true
  printf '\n'
  finish_round "$state"
done

attempts=$(sqlite3 -readonly "$state/stepwell.db" "SELECT count(*) FROM attempt")
echo "$done_kills kills over $rounds run(s), $attempts attempts in the last: $different differences, $repeated repeated commits, $orphans orphans"
[ "$different" = 0 ] && [ "$repeated" = 0 ] && [ "$orphans" = 0 ]
