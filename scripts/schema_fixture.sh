#!/usr/bin/env bash
# Makes a state directory with which later builds test that they can read the files of this one.
#
#   scripts/schema_fixture.sh FOLDER
#
# FOLDER is tests/fixtures/schema/vN, for a release with a new schema. Environment:
#   STEPWELL    the binary of that release [target/release/stepwell]
# Needs the sqlite3 shell. The run `stopped` is killed inside a step that has a checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:?a folder is needed}
stepwell=$(realpath "${STEPWELL:-target/release/stepwell}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp tests/fixtures/schema/workflow.toml "$work"
database=$work/state/stepwell.db

run() { (cd "$work" && "$stepwell" run workflow.toml --quiet "$@" >/dev/null); }

run --name "done" --idempotency-key key-1
run --name again
run --name broken -S broken=true && exit 1
run --name waiting --detach
run --name ended --detach -S greeting=bye
(cd "$work" && "$stepwell" cancel ended --quiet >/dev/null)

(cd "$work" && exec "$stepwell" run workflow.toml --quiet --name stopped --no-reuse -S stuck=true >/dev/null) &
engine=$!
checkpoints="SELECT count(*) FROM checkpoint JOIN run ON run.id = checkpoint.run WHERE run.name = 'stopped'"
until [ "$(sqlite3 "file:$database?mode=ro" "$checkpoints")" = 1 ]; do sleep 0.05; done
kill -KILL "$engine"
wait "$engine" || true

# Commands have no metrics.
sqlite3 "$database" "INSERT INTO metric (run, step, train_step, attempt, loss, learning_rate, grad_norm, tokens_so_far, tokens_per_second)
  SELECT run.id, 'count', value, 1, 1.0 / value, 0.001, NULL, 100 * value, 5.5
  FROM run, generate_series(1, 3) WHERE name = 'stopped'; PRAGMA wal_checkpoint(TRUNCATE);" >/dev/null

mkdir -p "$folder"
cp "$database" "$work/state/event-head" "$folder"
mkdir -p "$folder/artifacts"
cp -r "$work/state/artifacts/blobs" "$folder/artifacts"
chmod -R u+w "$folder/artifacts"
