#!/bin/sh
# Prints the path of a working Python of the version given, or fails: 3.10, ... of CPython, 3.14t of
# its free-threaded build, pypy3.11 of PyPy. Python 3.14 and PyPy are unpacked from Debian's packages
# first if they are not installed.
tools=$(dirname "$0")
works() {
    "$1" -c "import sys, sysconfig, venv
name = '' if sys.implementation.name == 'cpython' else sys.implementation.name
threads = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''
sys.exit('%s%d.%d%s' % (name, *sys.version_info[:2], threads) != '$version')" 2>/dev/null
}
version=$1
for candidate in "python$version" "$version" "$HOME"/.pyenv/versions/"${version%t}".*/bin/python3 \
    "$HOME"/.pyenv/versions/"$version"-*/bin/python3; do
    if found=$(command -v "$candidate") && works "$found"; then
        echo "$found"
        exit 0
    fi
done
case $version in
    3.14 | pypy3.11) found=$("$tools/unpack_python.sh" "$version") && works "$found" && echo "$found" ;;
    *) exit 1 ;;
esac
