#!/usr/bin/env bash
# power_cut.sh [xfs|ext4] [ROUNDS]: cuts the power of a file system on a loop device while artifacts and
# commits are written to it, and asserts that everything acknowledged is present and intact afterwards. In turn, a cut
# comes right after content was acknowledged, right after a commit was acknowledged, and at any moment.
# Needs root, loop devices and xfsprogs (its `shutdown` works on ext4 too); otherwise skipped with a message.
set -euo pipefail
cd "$(dirname "$0")/.."

fs=${1:-xfs}
rounds=${2:-20}
skip() { echo "power cuts on $fs: skipped, $*"; exit 0; }
[ "$(id -u)" = 0 ] || skip "not root"
for tool in xfs_io "mkfs.$fs" losetup; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
losetup -f >/dev/null 2>&1 || skip "no loop device is available"

work=$(mktemp -d)
disk=$work/disk
acks=$work/acks
mkdir "$disk"

cleanup() {
    if mountpoint -q "$disk"; then umount "$disk"; fi
    rm -rf "$work"
}
trap cleanup EXIT

half() { # half NAME: runs one test of crates/store/src/tests/power_cut.rs
    "$tests" --exact "tests::power_cut::$1" --nocapture
}

write_until_the_cut() {
    case $((round % 3)) in
        0) at="put $((RANDOM % 20 + 1))" ;;
        1) at="ack $((RANDOM % 20 + 1))" ;;
        2) at= ;;
    esac
    if [ -n "$at" ]; then
        STEPWELL_TEST_POWER_WRITE=$disk/state STEPWELL_TEST_POWER_CUT=$disk STEPWELL_TEST_POWER_CUT_AT=$at \
            half writer >"$acks" 2>"$work/errors" || true # it may fail after the cut
        [ "$(grep -c "^${at% *} " "$acks")" = "${at#* }" ] || { cat "$work/errors"; echo "no cut at $at"; exit 1; }
        cp "$acks" "$acks.cut"
        return
    fi
    STEPWELL_TEST_POWER_WRITE=$disk/state half writer >"$acks" 2>"$work/errors" &
    writer=$!
    until grep -q '^ack ' "$acks"; do
        kill -0 "$writer" 2>/dev/null || { cat "$work/errors"; exit 1; }
        sleep 0.05
    done
    sleep "0.$(printf %03d $((RANDOM % 400)))"
    cp "$acks" "$acks.cut"
    xfs_io -x -c shutdown "$disk"
    wait "$writer" || true # the IO error ends it
}

# Copied, so that a later build cannot replace the tested binary.
cargo test --quiet -p stepwell-store --lib --no-run --message-format=json |
    grep -o '"executable":"[^"]*"' | cut -d '"' -f 4 | xargs -I{} cp {} "$work/tests"
tests=$work/tests
truncate -s 400M "$work/image"
"mkfs.$fs" -q "$work/image"
for round in $(seq "$rounds"); do
    mount -o loop "$work/image" "$disk"
    # Artifacts accumulate: start a new state before the disk is full.
    [ $((round % 20)) != 0 ] || rm -rf "$disk/state"
    : >"$acks"
    write_until_the_cut
    umount "$disk"
    mount -o loop "$work/image" "$disk"
    STEPWELL_TEST_POWER_CHECK=$disk/state STEPWELL_TEST_POWER_ACKNOWLEDGED=$acks.cut half survivors >"$work/check" 2>&1 ||
        { cat "$work/check"; echo "round $round (cut at ${at:-any moment}): acknowledged data is lost"; exit 1; }
    # A rename without fsync leaves a name without its content.
    empty=$(find "$disk/state/artifacts/blobs" -type f -empty | head -3)
    [ -z "$empty" ] || { echo "round $round: empty artifacts: $empty"; exit 1; }
    umount "$disk"
    echo "round $round: cut at ${at:-any moment}, $(grep -c '^put ' "$acks.cut") artifacts acknowledged, nothing lost"
done
