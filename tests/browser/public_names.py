"""Prints each public name with its place on the site, for check_site.mjs, as JSON."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import make_api_pages as api


def places():
    """The end of the link to each name, by the name: the page and the anchor of its object."""
    found = {}
    for module in api.PUBLIC_MODULES:
        for name in api.exported(module):
            home = api.public(module, name).module
            found.setdefault(name, set()).add(f"{home}.html#{home}.{name}")
    return {name: sorted(targets) for name, targets in found.items()}


if __name__ == "__main__":
    print(json.dumps(places()))
