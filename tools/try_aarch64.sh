#!/usr/bin/env bash
# Builds the aarch64 wheel from an sdist, in an arm64 root of Debian under qemu; installs it there
# from wheels only, and tries it. Needs root on a Debian system with mmdebstrap, qemu-user-static
# and binfmt-support, and auditwheel on PATH. Usage: tools/try_aarch64.sh SDIST FOLDER
set -euo pipefail
sdist=$1 root=$2/root release=trixie python=3.13

mountpoint -q /proc/sys/fs/binfmt_misc ||
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

# The packages are unpacked and not configured: nothing runs under qemu until Python does.
mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt --include='*.list' --include='*.sources' | head -n 1)
if [ ! -d "$root" ]; then # kept between runs, if the caller keeps it
    mmdebstrap --quiet --mode=root --format=directory --architectures=arm64 --variant=extract \
        --include=coreutils,dash,gcc,libc6-dev,libpython3-dev,python3 "$release" "$root" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no Debian mirror is configured} $release main"
    for folder in bin lib sbin; do
        [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"
    done
fi

install() { # REQUIREMENT...: the wheels that pip chooses for the root, into "installed"
    rm -rf "$root/installed"
    pip install -q --target "$root/installed" --no-compile --only-binary=:all: \
        --implementation cp --python-version "$python" --platform linux_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        --platform manylinux_2_28_aarch64 "$@"
}

inside() { # COMMAND...: in the root
    chroot "$root" /usr/bin/env -i PATH=/usr/bin PYTHONPATH=/installed "$@"
}

sources=/sources/$(basename "$sdist" .tar.gz)
mkdir -p "$root/sources"
tar -xzf "$sdist" -C "$root/sources"
install cffi 'setuptools>=77'
inside sh -c "cd '$sources' && python3 setup.py -q bdist_wheel --dist-dir /built"
auditwheel repair --plat manylinux_2_17_aarch64 --only-plat -w "$2/repaired" "$root"/built/*.whl

install "$2"/repaired/*.whl hypothesis pytest
inside python3 "$sources/tools/try_wheel.py"
inside python3 -m pytest -p no:cacheprovider "$sources/tests/unit/verification/test_core.py"
