#!/usr/bin/env bash
# Runs the fuzz targets. Usage: verify/fuzz/run.sh [SECONDS PER TARGET] [TARGET...]
# Begins with the committed seeds (seeds/TARGET) and what earlier runs found (corpus/TARGET). A finding
# is left in artifacts/TARGET; make it a test before it is fixed.
# SANITIZER=none runs several times faster and sees no memory error.
set -euo pipefail
cd "$(dirname "$0")"
seconds="${1:-300}"
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(parsers shard)
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The sanitizer is an unstable flag of the compiler; this unlocks it on a stable one.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    cargo fuzz run --fuzz-dir . --sanitizer "${SANITIZER:-address}" "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
done
