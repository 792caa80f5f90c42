#!/bin/sh
# Prints the path of a working Python of the version given (3.10, ...), or fails.
for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/python3; do
    if found=$(command -v "$candidate") && "$found" -c "import sys, venv
sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
        echo "$found"
        exit 0
    fi
done
exit 1
