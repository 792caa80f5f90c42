#!/usr/bin/env bash
# Builds layer.zip, and prints its sizes: build_layer.sh WHEEL [ARCHITECTURE [PYTHON]]
#
# WHEEL is nitro-attest for that architecture, x86_64 (the default) or aarch64. It must run on the
# Amazon Linux 2023 of the runtime: build it there, with `pip wheel --no-deps .`
set -euo pipefail
wheel=$(realpath "$1") architecture=${2:-x86_64} python=${3:-3.13}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Only wheels, and of these only such as run with glibc 2.34, that of Amazon Linux 2023; `linux` is
# the tag of a wheel that was built there.
platforms=()
for tag in manylinux2014 manylinux_2_17 manylinux_2_28 manylinux_2_34 linux; do
    platforms+=(--platform "${tag}_$architecture")
done
pip install --quiet --no-compile --target "$folder/python" --only-binary :all: --implementation cp \
    --python-version "$python" "${platforms[@]}" "$wheel"
rm -rf "$folder/python/bin" "$folder/python/share"

rm -f layer.zip
(cd "$folder" && python3 -m zipfile -c layer.zip python) && mv "$folder/layer.zip" .
printf 'zipped %d bytes, unzipped %d bytes\n' "$(stat -c %s layer.zip)" \
    "$(find "$folder/python" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')"
