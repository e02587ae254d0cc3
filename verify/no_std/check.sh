#!/usr/bin/env bash
# Builds the core crates into a freestanding image with the host's own toolchain: no extra target
# is needed. A dependency that drags in std fails with E0152 (duplicate lang item panic_impl).
set -euo pipefail
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-../../target}/no_std"
RUSTFLAGS="-C relocation-model=static -C link-arg=-nostartfiles -C link-arg=-nostdlib \
-C link-arg=-static -C link-arg=-no-pie -C panic=abort" \
    cargo build --release --quiet --target-dir "$target"
echo "core crates: built without std"
