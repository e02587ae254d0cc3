#!/bin/sh
# build.sh SOURCE OUT: builds lwbench from lwIP's source: segments of an Ethernet and of 64 KiB, and a
# small pool for short connections, which lwIP searches from one end to the other.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1 out=$2
mkdir -p "$out"
files=$(ls "$source"/src/core/*.c "$source"/src/core/ipv4/*.c | grep -v -E 'dhcp|autoip|igmp|acd|etharp')
build() {
    name=$1
    shift
    # Newer than all it is made of: nothing to do.
    if [ -e "$out/$name" ] && [ -z "$(find "$here" "$source/src/core" -newer "$out/$name" -type f)" ]; then
        return
    fi
    # shellcheck disable=SC2086  # one word for each file
    ${CC:-gcc} -O3 -flto=auto ${CFLAGS:-} -w -I"$here" -I"$source/src/include" "$@" -o "$out/$name" \
        "$here/lwbench.c" $files
}
build lwbench-1460 -DMSS=1460 -DWND=65536
build lwbench-64k -DMSS=65160 -DWND=131072
build lwbench-short -DMSS=1460 -DWND=65536 -DNPCB=256
