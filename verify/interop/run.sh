#!/usr/bin/env bash
# The usertcp command against the system's own clients: curl, ping, wrk, h2load, socat, tshark.
#
# Owns: the place where checks run (network, process and mount namespaces of their own, so nothing
# outlives it and nothing outside is touched), their order, and the summary.
#
# Usage: verify/interop/run.sh [--quick|--full] [--only REGEX] [--referee] [--list]
#   --quick     small files, short loads: under a minute, for CI
#   --full      for acceptance: 1 GiB files, half a minute of wrk, waits for the end of TIME-WAIT
#   (neither)   the same with shorter loads
#   --only      checks whose name matches
#   --referee   the same checks against the kernel's own TCP behind a veth pair: shows what is a
#               mistake of a check, and what of the stack
#   --list      names of the checks
# Needs root; a check that cannot run prints one line with SKIPPED. USERTCP=FILE checks that program
# instead of target/release/usertcp. Exit code: 0 when nothing failed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

mode=normal only=. referee="" list=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick | --full | --normal) mode=${1#--} ;;
    --only) only=${2:?--only needs a pattern}; shift ;;
    --referee) referee=1 ;;
    --list) list=1 ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
    shift
done

# The checks in their order: "NAME" runs check_NAME. Those of one line share what is started for them.
CHECKS=(
    listing_v4 listing_v6 file_v4 file_v6 head range http2 live_page missing_file
    ping_v4 ping_v6 ping_v4_fragments ping_v6_fragments
    download_v4 download_v6 upload
    browser
    parallel_500 wrk h2load churn small_memory shards
    connect_kernel_echo connect_v6 connect_own_echo md5
    fast_open_served fast_open_kernel
    million_idle million_idle_local websocket_park
    packet packet_shards packet_gateway packet_refused
    wire_download wire_upload wire_wrk
    xdp xdp_refused
    fault_device_busy fault_bad_cidr fault_unknown_option fault_no_directory fault_refused
    nothing_left stop
    without_permission fault_port_in_use
)

if [ -n "$list" ]; then
    printf '%s\n' "${CHECKS[@]}"
    exit 0
fi

# --- Outside: make a place, run inside it, remove it ----------------------------------------------

if [ -z "${USERTCP_INTEROP_WORK:-}" ]; then
    isolate=(unshare --net --mount --pid --fork --mount-proc --kill-child)
    if [ "$(id -u)" != 0 ]; then
        echo "SKIPPED  all of interop: needs root, for network namespaces and a TUN device"
        exit 0
    elif [ ! -e /dev/net/tun ]; then
        echo "SKIPPED  all of interop: this machine has no /dev/net/tun"
        exit 0
    elif ! "${isolate[@]}" true 2>/dev/null; then
        echo "SKIPPED  all of interop: unshare cannot make namespaces here"
        exit 0
    fi
    program=${USERTCP:-${CARGO_TARGET_DIR:-$root/target}/release/usertcp}
    if [ ! -x "$program" ]; then
        echo "error: $program is not there" >&2
        echo "help: cargo build --release --workspace" >&2
        exit 2
    fi
    work=$(mktemp -d "${TMPDIR:-/tmp}/usertcp-interop.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap : INT TERM # the inside ends on its own; then we clean up
    chmod 755 "$work"
    # A copy that everybody may run, wherever the source is.
    install -m 755 "$program" "$work/usertcp"
    for example in million_idle websocket_park; do
        built=$(dirname "$program")/examples/$example
        [ -x "$built" ] && install -m 755 "$built" "$work/$example"
    done
    limit=$([ "$mode" = quick ] && echo 180 || echo 1800)
    USERTCP_INTEROP_WORK=$work timeout --foreground -k 5 "$limit" "${isolate[@]}" \
        "$0" "--$mode" --only "$only" ${referee:+--referee}
    code=$?
    [ "$code" = 124 ] && echo "FAIL     all of interop: not done after $limit seconds"
    exit "$code"
fi

# --- Inside ---------------------------------------------------------------------------------------

trap 'exit 130' INT TERM
work=$USERTCP_INTEROP_WORK
usertcp=$work/usertcp
if [ -n "$referee" ]; then
    export REFEREE_PROGRAM=$usertcp
    usertcp=$here/referee.sh
fi

# shellcheck source=lib.sh
. "$here/lib.sh"
for file in "$here"/checks/*.sh; do
    # shellcheck source=/dev/null
    . "$file"
done

size_up
set_up
for name in "${CHECKS[@]}"; do
    [[ $name =~ $only ]] && run_check "$name"
done
summary
