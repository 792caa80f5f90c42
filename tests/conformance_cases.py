"""The conformance cases about documents, by file and by id."""

import base64
import json

from support.paths import VECTORS

FOLDER = VECTORS / "conformance"
FILES = {
    path.stem: json.loads(path.read_text())
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "image" and not path.stem.endswith("schema")
}
CASES = {case["id"]: case for content in FILES.values() for case in content["cases"]}


def raw(case):
    """The document of a case, as bytes."""
    stored = case["document"]
    if "file" in stored:
        return (FOLDER / stored["file"]).read_bytes()
    return base64.b64decode(stored["base64"], validate=True)
