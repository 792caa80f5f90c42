"""A program that answers some inputs as configured, and all others alike.

    stub_verifier.py KNOWN DEFAULT PATH...

KNOWN is a JSON object of exit codes by the SHA-256 of the files and folders that the paths name;
DEFAULT is the exit code for any other input. It prints a PCR of zeros.
"""

import hashlib
import json
import sys
from pathlib import Path


def digest(*paths):
    """The SHA-256 of the content of files, and of the files in folders, in order."""
    files = [one for path in paths for one in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    known, default, *names = sys.argv[1:]
    print("00" * 48)
    sys.exit(json.loads(Path(known).read_text()).get(digest(*map(Path, names)), int(default)))
