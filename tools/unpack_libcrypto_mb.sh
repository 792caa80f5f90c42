#!/usr/bin/env bash
# Unpacks Debian's libcrypto_mb into a folder, without installing it, from the release that has it;
# prints where the library lies. Usage: tools/unpack_libcrypto_mb.sh FOLDER
set -euo pipefail
release=trixie package=libcrypto-mb11
mkdir -p "$1"
cd "$1"
mkdir -p state/lists/partial cache/archives/partial
mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt --include='*.list' --include='*.sources' | head -n 1)
echo "deb ${mirror:?no Debian mirror is configured} $release main" >sources.list
isolated=(-o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$PWD/state"
    -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root)
apt-get "${isolated[@]}" update -qq >&2
apt-get "${isolated[@]}" download -qq "$package" >&2
dpkg-deb -x "$package"_*.deb root
dirname "$(find "$PWD/root" -name 'libcrypto_mb.so.*' | head -n 1)"
