#!/usr/bin/env bash
# power_cut.sh [xfs|ext4] [ROUNDS]: cuts the power of a file system on a loop device while artifacts and
# commits are written to it, and asserts that everything acknowledged is there and intact afterwards.
# Needs root and xfsprogs (its `shutdown` works on ext4 too).
set -euo pipefail

fs=${1:-xfs}
rounds=${2:-20}
work=$(mktemp -d)
disk=$work/disk
acks=$work/acks
mkdir "$disk"

cleanup() {
    if mountpoint -q "$disk"; then umount "$disk"; fi
    rm -rf "$work"
}
trap cleanup EXIT

half() { # half NAME: one test of src/store/tests/power_cut.rs
    cargo test --quiet --no-default-features --lib -- --exact "store::tests::power_cut::$1" --nocapture
}

last_ack() {
    grep -o '^ack [0-9]*$' "$acks" | tail -n 1 | cut -d ' ' -f 2 || true
}

cargo test --quiet --no-default-features --lib --no-run
truncate -s 400M "$work/image"
"mkfs.$fs" -q "$work/image"
for round in $(seq "$rounds"); do
    mount -o loop "$work/image" "$disk"
    : >"$acks"
    STEPWELL_TEST_POWER_WRITE=$disk/state half writer >"$acks" 2>"$work/errors" &
    writer=$!
    until [ -n "$(last_ack)" ]; do
        kill -0 "$writer" 2>/dev/null || { cat "$work/errors"; exit 1; }
        sleep 0.05
    done
    sleep "0.$((RANDOM % 900 + 100))"
    acknowledged=$(last_ack)
    xfs_io -x -c shutdown "$disk"
    wait "$writer" || true # it dies of the IO error
    umount "$disk"
    mount -o loop "$work/image" "$disk"
    STEPWELL_TEST_POWER_CHECK=$disk/state STEPWELL_TEST_POWER_ACKNOWLEDGED=$acknowledged half survivors >"$work/check" ||
        { cat "$work/check"; echo "round $round: lost something of $acknowledged acknowledged"; exit 1; }
    umount "$disk"
    echo "round $round: $acknowledged acknowledged, nothing lost"
done
