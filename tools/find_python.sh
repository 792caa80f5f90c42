#!/bin/sh
# Prints the path of a working Python of the version given (3.10, ...), or fails. Python 3.14 is
# unpacked from Debian's packages first if it is not installed.
tools=$(dirname "$0")
works() {
    "$1" -c "import sys, venv
sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null
}
version=$1
for candidate in "python$version" "$HOME"/.pyenv/versions/"$version".*/bin/python3; do
    if found=$(command -v "$candidate") && works "$found"; then
        echo "$found"
        exit 0
    fi
done
[ "$version" = 3.14 ] && found=$("$tools/unpack_python.sh" "$version") && works "$found" && echo "$found"
