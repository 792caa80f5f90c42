#!/usr/bin/env bash
# Installs a wheel with pip in a root of Debian testing that has Python and pip and no compiler, and
# tries it there; under qemu if the root is of another machine. Needs root on a Debian system with
# mmdebstrap; for arm64 on x86-64 qemu-user-static and binfmt-support as well.
# Usage: tools/try_empty_image.sh WHEEL amd64|arm64 FOLDER
set -euo pipefail
tools=$(realpath "$(dirname "$0")")
wheel=$1 root=$3/root python=3.14 # testing's
emulated=
[ "$2" = "$(dpkg --print-architecture)" ] || emulated=yes
document=20250916_encl_us-east-1_tkhq_b1086cbb.bin

# shellcheck source-path=SCRIPTDIR
. "$tools/debian_root.sh"
debian_root "$2" testing "$root" python3,python3-pip

# pip's settings, and what the system finds names and certificates by, are those of this machine.
mkdir -p "$root/etc" "$root/tmp" "$root/wheel/tools" "$root/wheel/fixtures/real"
for file in /etc/hosts /etc/pip.conf /etc/resolv.conf "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}"; do
    [ ! -e "$file" ] || install -D -m 644 "$file" "$root$file"
done
cp "$wheel" "$root/wheel"
cp "$tools/try_wheel.py" "$root/wheel/tools"
cp "$tools/../fixtures/real/$document" "$root/wheel/fixtures/real"

compile() { # FOLDER...: of the root, to bytecode; under qemu this takes longer than what follows
    local host
    if [ "$emulated" ] && host=$("$tools/find_python.sh" "$python"); then
        "$host" -m compileall -q -s "$root" "${@/#/$root/}"
    fi
}

inside() { # PROGRAM ARGUMENT...: in the root
    local settings
    mapfile -t settings < <(env | grep -iE '^(PIP_(CERT|DEFAULT_TIMEOUT|INDEX_URL)|https?_proxy|no_proxy)=')
    env -i HOME=/tmp PATH=/usr/bin PIP_DISABLE_PIP_VERSION_CHECK=1 "${settings[@]}" \
        /usr/sbin/chroot "$root" "$@"
}

compile "usr/lib/python$python" usr/lib/python3/dist-packages
inside /usr/bin/python3 -c 'import shutil, sys
found = [name for name in ("cc", "c99", "gcc", "clang") if shutil.which(name)]
sys.exit(f"the empty image has a compiler: {found}" if found else 0)'
inside /usr/bin/python3 -m venv --clear --without-pip /venv
from=()
if [ "$emulated" ]; then
    # Downloads under qemu ended in connection resets: pip in the root installs what pip outside has
    # downloaded.
    pip download -q --only-binary=:all: --python-version "$python" --platform manylinux_2_28_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 -d "$root/wheel" "$wheel"
    from=(--no-index --find-links /wheel)
fi
inside /usr/bin/python3 -m pip --python /venv install -q --no-compile "${from[@]}" \
    "/wheel/$(basename "$wheel")"
compile venv
inside /venv/bin/nitro-attest verify "/wheel/fixtures/real/$document" --at document | grep '^AUTHENTIC '
inside /venv/bin/python /wheel/tools/try_wheel.py
