#!/usr/bin/env bash
# quick.sh CRATE [TEST...]: runs the unit tests of one crate, `steps` or `engine` for example, or those whose names
# contain TEST. `quick.sh stepwell` is the command line. Shares every dependency with `cargo build` and `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,3s/^# //p' "$0"; echo "crates: stepwell $(ls crates | xargs)"; exit 2; }
crate=${1#stepwell-}
[ "$crate" = stepwell ] || crate=stepwell-$crate
exec cargo test --quiet -p stepwell-features -p "$crate" --lib -- "${@:2}"
