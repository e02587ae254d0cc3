# ICMP with ping. Owns: nothing may be lost on a wire without loss.
# shellcheck shell=bash disable=SC2154

echoes() {
    need ping
    local told
    told=$(ping -q -c 20 -i 0.02 -W 2 "$@" | tail -n 3) || fail "$told"
    grep -q ' 0% packet loss' <<<"$told" || fail "$told"
    grep -oE 'rtt.*' <<<"$told"
}
check_ping_v4() { echoes "$stack4"; }
check_ping_v6() { echoes "$stack6"; }
check_ping_v4_fragments() { echoes -s 4000 "$stack4"; }
check_ping_v6_fragments() { echoes -s 4000 "$stack6"; }
