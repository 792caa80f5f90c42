# Sourced by scripts that try a wheel in a root of Debian: bash functions.
# shellcheck shell=bash

debian_mirror() { # the one that this system uses
    grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt --include='*.list' --include='*.sources' |
        head -n 1
}

debian_root() { # ARCHITECTURE RELEASE FOLDER PACKAGES: unpacked there, unless the folder is there
    local mirror folder check=true
    [ "$1" = "$(dpkg --print-architecture)" ] || emulate_aarch64
    if [ -d "$3" ]; then return; fi # kept between runs, if the caller keeps it
    mirror=$(debian_mirror)
    eval "$(apt-config shell check Acquire::Check-Valid-Until)" # as apt of this system does
    mkdir -p "$(dirname "$3")"
    rm -rf "$3.partial"
    # The packages are not configured: under qemu that takes minutes.
    mmdebstrap --quiet --mode=root --format=directory --architectures="$1" --variant=extract \
        --aptopt="Acquire::Check-Valid-Until \"$check\"" --include="$4" "$2" "$3.partial" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no Debian mirror is configured} $2 main"
    for folder in bin lib lib64 sbin; do
        [ ! -d "$3.partial/usr/$folder" ] || [ -e "$3.partial/$folder" ] ||
            ln -s "usr/$folder" "$3.partial/$folder"
    done
    mv "$3.partial" "$3"
}

emulate_aarch64() { # programs of aarch64 run under qemu from here on
    mountpoint -q /proc/sys/fs/binfmt_misc ||
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
}
