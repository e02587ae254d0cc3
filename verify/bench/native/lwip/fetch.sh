#!/bin/sh
# fetch.sh DIRECTORY: unpacks Debian's source package `lwip` there, by apt and dpkg, without touching the
# system's lists of sources.
set -eu
into=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial"
cat >"$work/only.sources" <<'SOURCES'
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
cd "$work"
apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$work/only.sources" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o APT::Sandbox::User="$(id -un)" \
        -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= "$@" >/dev/null
}
apt update
apt source --download-only lwip
rm -rf "$into"
dpkg-source -x lwip_*.dsc "$into" >/dev/null
