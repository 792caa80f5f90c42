"""Conformance vectors for verifiers of AWS Nitro attestation documents.

``FORMAT.md`` in this package explains the members of the cases.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["load", "results_schema", "schema"]


def load() -> dict[str, Any]:
    """Reads the suite: its version, control cases, roots and cases."""
    return _read("vectors.json")


def schema() -> dict[str, Any]:
    """Reads the JSON Schema of the suite."""
    return _read("schema.json")


def results_schema() -> dict[str, Any]:
    """Reads the JSON Schema of a file of results."""
    return _read("results-schema.json")


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_bytes())
    return content
