#!/usr/bin/env bash
# Stands in for the usertcp command: the same server over the kernel's own TCP, in a namespace behind
# a veth pair that is named and addressed as the TUN device would be.
#
# Owns: the namespace and the pair; both end with the process. Must not know: what is checked.
# Usage: as usertcp; REFEREE_PROGRAM is the program.
set -euo pipefail

command=$1
shift
device=utcp0 stack=() kernel=() words=()
while [ $# -gt 0 ]; do
    case $1 in
    --dev) device=$2; shift ;;
    --addr) stack+=("$2"); shift ;;
    --peer) kernel+=("$2"); shift ;;
    *) words+=("$1") ;;
    esac
    shift
done
if [ ${#stack[@]} = 0 ]; then
    stack=(10.77.0.2/24 fd77::2/64) kernel=(10.77.0.1/24 fd77::1/64)
fi
# Options the program would refuse are for it to refuse.
"$REFEREE_PROGRAM" "$command" "${words[@]}" "${stack[@]/#/--addr=}" "${kernel[@]/#/--peer=}" \
    --kernel-sockets 127.0.0.1 --help >/dev/null

# The namespace lives as long as this process, which becomes the program.
setpriv --pdeathsig KILL unshare --net sleep infinity &
holder=$!
own=$(readlink /proc/self/ns/net)
until theirs=$(readlink "/proc/$holder/ns/net") && [ "$theirs" != "$own" ]; do sleep 0.02; done
inside=(nsenter --net="/proc/$holder/ns/net")

ip link add "$device" type veth peer name eth0 netns "$holder"
"${inside[@]}" ip link set lo up
# The kernel would first look whether somebody has an IPv6 address already; it takes a second.
at_once() { if [[ $1 == *:* ]]; then echo nodad; fi; }
# shellcheck disable=SC2046
for address in "${stack[@]}"; do
    "${inside[@]}" ip addr add "$address" dev eth0 $(at_once "$address")
done
# shellcheck disable=SC2046
for address in "${kernel[@]}"; do
    ip addr add "$address" dev "$device" $(at_once "$address")
done
ip link set "$device" up
"${inside[@]}" ip link set eth0 up
for address in "${kernel[@]}"; do "${inside[@]}" ip route add default via "${address%/*}"; done

listen=::
if [ "$command" = connect ] && [[ ${stack[0]} != *:* ]]; then listen=0.0.0.0; fi
# On one CPU, as the clients of clean transfers: a pair hands packets over per CPU, so segments that
# two CPUs send overtake each other.
exec "${inside[@]}" taskset -c 0 "$REFEREE_PROGRAM" "$command" "${words[@]}" --kernel-sockets "$listen"
