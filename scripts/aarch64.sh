#!/usr/bin/env bash
# aarch64.sh [TEST...]: runs the unit tests of training on aarch64, whose kernels use NEON. On other processors it
# cross-compiles them and runs them under qemu's user-mode emulation, which shows correctness, not speed. Installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu

first() { echo "aarch64.sh: something is missing, first run: $*" >&2; exit 1; }

[ -d "$(rustc --target $target --print target-libdir)" ] || first "rustup target add $target"
if [ "$(uname -m)" != aarch64 ]; then
  command -v qemu-aarch64-static >/dev/null || first "apt-get install qemu-user-static"
  command -v aarch64-linux-gnu-gcc >/dev/null || first "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
  export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
fi
exec cargo test -p stepwell-train --lib --target $target -- "$@"
