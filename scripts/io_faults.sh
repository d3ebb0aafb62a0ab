#!/usr/bin/env bash
# io_faults.sh [STRIDE] [ROUNDS]: makes system calls, and then a whole disk, fail while artifacts and commits are
# written, and asserts that everything acknowledged is present and intact afterwards.
#
#   order      a trace without faults: content is on the disk before its file gets a name, names before the commit
#              that refers to them, commits before their acknowledgement; needs strace
#   calls      every STRIDEth [5] pwrite64, write, fsync, rename, ... fails once with EIO and once with ENOSPC,
#              or fails from then on; needs strace
#   disk       ROUNDS [6] rounds each on ext4 and XFS: all writes of the disk fail for a moment. In every other round
#              a second process continues and is killed, and the file system is mounted again, so that only the
#              content of the disk counts; needs root, nbdkit, nbdfuse and xfsprogs
#   read-only  ROUNDS rounds: ext4 turns read-only in the middle of a run; needs root
#
# Parts that cannot run here are skipped with a message. The sqlite3 shell, as an independent reader, also looks
# for the acknowledged commits. ONLY="calls disk" selects parts.
set -euo pipefail
cd "$(dirname "$0")/.."

stride=${1:-5}
rounds=${2:-6}
only=${ONLY:-order calls disk read-only}
work=$(mktemp -d)
acks=$work/acks
cases=0 faults=0 aborted=0 lost=0
skipped=""

cleanup() {
    for at in "$work/mount" "$work/nbd/disk"; do
        if mountpoint -q "$at"; then umount -l "$at"; fi
    done
    if [ -n "${loop:-}" ]; then losetup -d "$loop" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

skip() { # skip PART REASON
    echo "$1: skipped, $2"
    skipped="$skipped $1"
}

tests=$(cargo test -p stepwell-store --lib --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))$/\1/p')
[ -x "$tests" ] || { echo "cannot build the tests" >&2; exit 1; }

# writer STATE COUNT [PREFIX...]: appends to $acks; the other output goes to $work/errors
writer() {
    local state=$1 count=$2
    shift 2
    export STEPWELL_TEST_FAULTS_WRITE=$state STEPWELL_TEST_FAULTS_COUNT=$count
    # A subshell, which reports there how the writer ended.
    ("$@" "$tests" --exact tests::io_faults::writer --nocapture || exit $?) >>"$acks" 2>>"$work/errors"
}

# survivors STATE WHAT: checks with Stepwell's reader, then with the sqlite3 shell
survivors() {
    cases=$((cases + 1))
    local wrong=""
    unset STEPWELL_TEST_FAULTS_WRITE
    STEPWELL_TEST_FAULTS_CHECK=$1 STEPWELL_TEST_FAULTS_ACKNOWLEDGED=$acks "$tests" \
        --exact tests::io_faults::survivors --nocapture >"$work/check" 2>&1 || wrong="the check failed"
    if command -v sqlite3 >/dev/null; then
        [ "$(sqlite3 -readonly "$1/stepwell.db" 'PRAGMA integrity_check')" = ok ] || wrong="$wrong; the database is damaged"
        sqlite3 -readonly "$1/stepwell.db" "SELECT last_step FROM checkpoint" | sort >"$work/committed"
        sed -n 's/^ack //p' "$acks" | sort >"$work/acknowledged"
        [ -z "$(comm -13 "$work/committed" "$work/acknowledged")" ] || wrong="$wrong; acknowledged commits are gone"
    fi
    [ -z "$wrong" ] && return
    lost=$((lost + 1))
    echo "FAILED $2: $wrong"
    grep -m1 -A3 panicked "$work/check" || true
    tail -n 3 "$work/errors"
}

fresh() {
    rm -rf "$work/state"
    : >"$acks"
    : >"$work/errors"
}

# call CALL ERROR WHEN: one fault in the first writer; the second writer must work
call() {
    fresh
    writer "$work/state" 12 timeout -s KILL 60 strace -f -qq -o "$work/trace" -e "trace=$1" -e "inject=$1:error=$2:when=$3" || true
    if ! grep -q INJECTED "$work/trace"; then return; fi
    faults=$((faults + 1))
    if grep -q "cannot write" "$work/errors"; then aborted=$((aborted + 1)); fi
    if ! writer "$work/state" 4 timeout 60; then
        lost=$((lost + 1))
        echo "FAILED $1 $2 $3: the next start does not work"
        tail -n 5 "$work/errors"
        return
    fi
    survivors "$work/state" "$1 $2 $3"
}

can_trace() { # can_trace PART
    command -v strace >/dev/null || { skip "$1" "strace is not installed"; return 1; }
    strace -qq -o /dev/null true 2>/dev/null || { skip "$1" "strace may not trace here"; return 1; }
}

order() {
    can_trace order || return 0
    fresh
    writer "$work/state" 12 strace -f -qq -y -s 16 -o "$work/trace" -e trace=write,pwrite64,fsync,fdatasync,rename
    # The path of a descriptor is between < and >.
    awk '
        function path(text) { match(text, /<[^>]*>/); return substr(text, RSTART + 1, RLENGTH - 2) }
        function wrong(what) { print "order, line " NR ": " what ": " $0; failed = 1 }
        / (write|pwrite64)\(.*\/(tmp\/|stepwell.db-wal)/ { unsynced[path($0)] = 1 }
        / pwrite64\(.*stepwell.db-wal>/ { for (folder in unnamed) wrong("a commit before the folder " folder " is synced") }
        / f(data)?sync\(/ { delete unsynced[path($0)]; delete unnamed[path($0)] }
        / rename\(/ {
            split($0, quoted, "\"")
            if (quoted[2] in unsynced) wrong("a name before the content is synced")
            folder = quoted[4]
            sub(/\/[^\/]*$/, "", folder)
            unnamed[folder] = 1
            renames++
        }
        / write\(1<.*"ack / {
            for (file in unsynced) if (file ~ /-wal$/) wrong("an acknowledgement before the commit is synced")
            acks++
        }
        END { if (acks < 12 || renames < 12) wrong("only " acks " acknowledgements and " renames " names"); exit failed }
    ' "$work/trace" || lost=$((lost + 1))
    echo "order: checked"
}

system_calls() {
    can_trace calls || return 0
    for name in pwrite64 write fsync fdatasync rename renameat renameat2 ftruncate fallocate openat unlink mkdir; do
        fresh
        writer "$work/state" 12 strace -f -qq -o "$work/trace" -e "trace=$name"
        local count step
        count=$(wc -l <"$work/trace")
        # At least ten places of each call.
        step=$((count / 10 < stride ? count / 10 : stride))
        [ "$step" -gt 0 ] || step=1
        local before=$faults
        for at in $(seq 1 "$step" "$count"); do
            call "$name" EIO "$at"
            call "$name" ENOSPC "$at"
        done
        for at in $(seq 1 $((step * 5)) "$count"); do
            call "$name" EIO "$at+"
            call "$name" ENOSPC "$at+"
        done
        echo "calls: $name was called $count times, $((faults - before)) faults"
    done
}

# end PID: kills a background writer and its shells
end() {
    local shell child
    shell=$(pgrep -P "$1" || true)
    child=$(if [ -n "$shell" ]; then pgrep -P "$shell" || true; fi)
    kill -9 "$1" $shell $child 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# A process that was just killed may still hold it.
unmount() {
    for _ in $(seq 100); do
        umount "$1" 2>/dev/null && return
        sleep 0.05
    done
    umount "$1"
}

# Waits until the background writer $1 has acknowledged more than $2 commits.
await_acks() {
    for _ in $(seq 600); do
        [ "$(grep -c '^ack ' "$acks" || true)" -gt "$2" ] && return
        kill -0 "$1" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

format() { # format FS DEVICE
    if [ "$1" = ext4 ]; then mkfs.ext4 -q "$2"; else mkfs.xfs -q -f "$2"; fi
}

disk_round() { # disk_round FS ROUND
    format "$1" "$loop"
    mount "$loop" "$work/mount"
    fresh
    writer "$work/mount/state" 1000000 & first=$!
    await_acks $first 3 || { echo "the first writer does not start"; cat "$work/errors"; exit 1; }
    sleep "0.$((RANDOM % 300 + 100))"
    touch "$work/fail"
    sleep "0.0$((RANDOM % 80 + 10))"
    rm "$work/fail"
    # The writer ends by itself when a commit was hit; a failed artifact is only reported.
    sleep 0.3
    end $first
    if grep -q "cannot write" "$work/errors"; then aborted=$((aborted + 1)); fi
    # After an error in its own journal, the file system is shut down.
    if ! touch "$work/mount/writable" 2>/dev/null; then
        unmount "$work/mount"
        mount "$loop" "$work/mount"
    fi
    if [ $(($2 % 2)) = 0 ]; then
        local before
        before=$(grep -c '^ack ' "$acks")
        writer "$work/mount/state" 1000000 & second=$!
        await_acks $second $((before + 5)) ||
            { lost=$((lost + 1)); echo "FAILED disk $1 $2: the next start does not work"; tail -n 5 "$work/errors"; }
        # Killed, so that closing the database cannot repair anything.
        end $second
    fi
    unmount "$work/mount"
    mount "$loop" "$work/mount"
    faults=$((faults + 1))
    survivors "$work/mount/state" "disk $1 $2"
    unmount "$work/mount"
}

failing_disk() {
    [ "$(id -u)" = 0 ] || { skip disk "it needs root"; return; }
    for tool in nbdkit nbdfuse mkfs.xfs mkfs.ext4 losetup; do
        command -v $tool >/dev/null || { skip disk "$tool is not installed"; return; }
    done
    truncate -s 400M "$work/image"
    mkdir -p "$work/nbd" "$work/mount"
    touch "$work/nbd/disk"
    nbdfuse "$work/nbd/disk" [ nbdkit --exit-with-parent --filter=error file "$work/image" error=EIO \
        error-pwrite-rate=100% error-zero-rate=100% "error-file=$work/fail" ] >"$work/nbd.log" 2>&1 &
    for _ in $(seq 50); do mountpoint -q "$work/nbd/disk" && break; sleep 0.1; done
    if ! mountpoint -q "$work/nbd/disk" || ! loop=$(losetup -f --show "$work/nbd/disk"); then
        skip disk "the failing disk cannot be set up: $(tail -n 1 "$work/nbd.log")"
        return
    fi
    for fs in ext4 xfs; do
        for round in $(seq "$rounds"); do
            disk_round "$fs" "$round"
        done
        echo "disk: $rounds rounds on $fs"
    done
    losetup -d "$loop"
    loop=""
    unmount "$work/nbd/disk"
}

read_only() {
    [ "$(id -u)" = 0 ] || { skip read-only "it needs root"; return; }
    command -v mkfs.ext4 >/dev/null || { skip read-only "mkfs.ext4 is not installed"; return; }
    truncate -s 200M "$work/plain"
    mkdir -p "$work/mount"
    loop=$(losetup -f --show "$work/plain") || { skip read-only "no loop device is available"; loop=""; return; }
    for round in $(seq "$rounds"); do
        mkfs.ext4 -q "$loop"
        mount -o errors=remount-ro "$loop" "$work/mount"
        local trigger=/sys/fs/ext4/$(basename "$loop")/trigger_fs_error
        [ -w "$trigger" ] || { skip read-only "the kernel has no trigger_fs_error"; break; }
        fresh
        writer "$work/mount/state" 1000000 & first=$!
        await_acks $first 3 || { echo "the writer does not start"; cat "$work/errors"; exit 1; }
        sleep "0.$((RANDOM % 300 + 100))"
        echo 1 >"$trigger"
        sleep 0.5
        end $first
        if grep -q "cannot write" "$work/errors"; then aborted=$((aborted + 1)); fi
        # A start on the read-only disk must report it, and change nothing.
        if writer "$work/mount/state" 1 timeout 60 || ! grep -qi 'read-only\|readonly' "$work/errors"; then
            lost=$((lost + 1))
            echo "FAILED read-only $round: the message does not say it"
            tail -n 5 "$work/errors"
        fi
        unmount "$work/mount"
        mount "$loop" "$work/mount"
        faults=$((faults + 1))
        survivors "$work/mount/state" "read-only $round"
        unmount "$work/mount"
    done
    losetup -d "$loop"
    loop=""
    echo "read-only: $rounds rounds"
}

for part in $only; do
    case $part in
    order) order ;;
    calls) system_calls ;;
    disk) failing_disk ;;
    read-only) read_only ;;
    *) echo "no part is called $part" >&2; exit 2 ;;
    esac
done
echo "$faults faults, $aborted of them ended the writer with its own abort, $cases states checked, $lost with something wrong${skipped:+; skipped:$skipped}"
[ "$lost" = 0 ]
