"""The house of docs/explanation/architecture.md: who may import whom, and what stays unloaded."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nitro_attest

SOURCE = Path(nitro_attest.__file__).parent
ROOMS = sorted(SOURCE.rglob("*.py"))

# For each room, what it may import of ours. A package stands for every module in it.
MAY_IMPORT = {
    "errors": set(),
    "limits": set(),
    "frozen": set(),
    "_core": {"errors", "frozen", "limits"},
    "document": {"_core", "errors", "frozen", "limits"},
    "strict_json": {"errors"},
    "measurement_set": {"document", "errors", "frozen", "limits"},
    "policy": {"document", "errors", "frozen", "measurement_set", "strict_json"},
    "requirements": {"document", "errors", "frozen", "limits", "measurement_set", "policy"},
    "many": {"errors", "frozen", "limits", "policy", "requirements"},
    "certificate": {"document", "errors", "limits"},
    "roots": {"certificate", "errors", "frozen"},
    "chain": {"certificate", "document", "errors", "frozen", "roots"},
    "signature": {"certificate", "document", "errors", "limits"},
    "accelerators": {"accelerators", "errors", "limits", "signature"},
    "consistency": {"_core", "chain", "document", "errors"},
    "public_key": {"errors"},
    "seal": {"errors"},
    "attestation": {
        *("document", "errors", "frozen", "measurement_set", "policy", "public_key", "roots"),
    },
    "verifier": {
        *("_core", "accelerators", "attestation", "chain", "consistency", "document", "errors"),
        *("frozen", "limits"),
        *("many", "measurement_set", "policy", "requirements", "roots", "signature"),
    },
    "stores": {"errors"},
    "challenge": {
        *("attestation", "document", "errors", "limits", "policy", "requirements", "stores"),
        "verifier",
    },
    "measurements": {
        *("certificate", "document", "errors", "limits", "measurement_set", "measurements"),
        *("policy", "strict_json"),
    },
    "kms": {"errors", "kms", "limits", "measurement_set", "policy", "strict_json"},
    "enclave": {
        *("attestation", "enclave", "errors", "limits", "policy", "roots", "verifier"),
    },
    "testing": {"errors", "limits", "testing"},
    # The one module of testing that verifies: a fake KMS must judge as this package does.
    "testing.kms": {
        *("attestation", "errors", "kms", "limits", "policy", "roots", "testing", "verifier"),
    },
    "cli": {
        *("attestation", "certificate", "cli", "document", "enclave", "errors", "frozen", "kms"),
        *(
            "limits",
            "many",
            "measurement_set",
            "measurements",
            "policy",
            "roots",
            "strict_json",
            "verifier",
        ),
    },
    "__main__": {"cli", "errors"},
    "__init__": {
        *("_core", "attestation", "challenge", "document", "errors", "many", "measurement_set"),
        *("policy", "requirements", "roots", "seal", "stores", "verifier"),
    },
}

# Packages that only these rooms may import.
ONLY_IN = {
    "cffi": set(),
    "nitro_attest._native": {"_core"},
    "cbor2": {"enclave", "measurements", "testing"},
    "click": {"cli", "__main__"},
    "awscrt": {"accelerators"},
    "ctypes": {"accelerators"},
    "cryptography": {
        *("accelerators", "attestation", "certificate", "chain", "cli", "kms", "measurements"),
        *("public_key", "roots", "seal", "signature", "testing"),
    },
}


def room_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts) if ".".join(parts) in MAY_IMPORT else parts[0]


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def ours(name):
    parts = name.split(".")
    return parts[1] if parts[0] == "nitro_attest" and len(parts) > 1 else None


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_room_imports_only_in_the_direction_of_the_house(path):
    room = room_of(path)
    allowed = MAY_IMPORT[room]
    for name in imports_of(path):
        target = ours(name)
        if target is not None and target != "_native":
            assert target in allowed, f"{room} may not import {name}"


@pytest.mark.parametrize("path", ROOMS, ids=lambda p: str(p.relative_to(SOURCE)))
def test_each_foreign_package_has_its_own_rooms(path):
    for name in imports_of(path):
        for package, rooms in ONLY_IN.items():
            if name == package or name.startswith(package + "."):
                assert room_of(path).split(".")[0] in rooms, f"{path} may not import {package}"


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = loaded_by("import nitro_attest")
    assert loaded.isdisjoint({"cryptography", "click", "cbor2", "cffi", "nitro_attest._native"})


def test_help_loads_neither_cryptography_nor_the_c_core():
    loaded = loaded_by("from nitro_attest.__main__ import run; run(['--help'])")
    assert "click" in loaded
    assert loaded.isdisjoint({"cryptography", "cbor2", "nitro_attest._native"})


def test_every_public_name_is_where_the_package_says():
    for name in nitro_attest.__all__:
        assert getattr(nitro_attest, name).__module__.startswith("nitro_attest") or name.isupper()
    with pytest.raises(AttributeError):
        _ = nitro_attest.no_such_name
    assert set(nitro_attest.__all__) <= set(dir(nitro_attest))
