"""The layers of docs/explanation/architecture.md: who may import whom, and what stays unloaded."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import nitro_attest

SOURCE = Path(nitro_attest.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}

ROOT_PEM = SOURCE / "verification/aws_roots/aws.pem"

LAYERS = (
    *("errors", "limits", "_internal", "verification", "policy_files", "document_text"),
    *("freshness", "keys", "measurements", "provenance", "transport", "kms", "enclave"),
    *("channel", "archive", "report", "testing", "cli", "__main__"),
)
"""A layer imports itself and the layers before it, and nothing after it."""

STEPS = (
    *("layout", "core", "document", "certificate", "roots", "path", "signature", "accelerators"),
    *("crl", "revocation", "agreement", "measurement_set", "policy", "requirements"),
    *("attestation", "batch", "verifier"),
)
"""The modules of ``verification/``, in the same order."""

DECIDES_WITH = {"errors", "limits", "_internal", "verification"}
"""All that ``verification/`` may import of this package."""

CAPABILITIES = ("provenance", "kms", "enclave", "channel", "archive", "report")
"""Each can be deleted without changing ``verification/`` or another capability."""

USES_CAPABILITIES = {
    "cli": "each verb imports the capability that it serves",
    "testing.kms": "a fake KMS verifies documents as the real one does, and answers in its form",
}
"""The modules that import a capability, each with the reason."""

UPWARD = {"__init__": "the public names, each loaded at its first use"}
"""The modules that may import any layer, each with the reason."""

ONLY_IN = {
    "nitro_attest.verification._native": {"verification.layout", "verification.core"},
    "cffi": set(),
    "cbor2": {"enclave.nsm", "measurements.eif.signature", "testing"},
    "click": {"cli", "__main__"},
    "awscrt": {"verification.accelerators.aws_lc"},
    "anyio": {"channel.httpx_transport"},
    "httpcore": {"channel.httpx_transport"},
    "httpx": {"channel.httpx_transport"},
    "pyarrow": {"archive"},
    "pyspark": {"archive.spark"},
    "requests": {"channel.requests_adapter"},
    "sigstore": {"provenance.identity"},
    "urllib3": {"channel.requests_adapter"},
    "ctypes": {"verification.accelerators.libcrypto_mb"},
}
"""The modules or layers that alone may import a foreign package."""


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_named(name):
    """The module of ours that an imported name is, or is defined in; None for a foreign one."""
    parts = name.split(".")
    if parts[0] != "nitro_attest":
        return None
    for length in range(len(parts), 1, -1):
        if (module := ".".join(parts[1:length])) in MODULES:
            return module
    return None


GRAPH = {
    module: {target for name in imports_of(path) if (target := module_named(name))} - {module}
    for module, path in MODULES.items()
}


def layer_of(module):
    return module.partition(".")[0]


def place_of(module):
    step = module.split(".")[1] if module.startswith("verification.") else None
    return LAYERS.index(layer_of(module)), STEPS.index(step) if step else 0


@pytest.mark.parametrize("module", sorted(GRAPH.keys() - UPWARD.keys()))
def test_a_module_imports_only_layers_before_its_own(module):
    for target in GRAPH[module]:
        assert place_of(target) <= place_of(module), f"{module} imports {target}"


def test_no_module_imports_itself_through_others():
    assert list(TopologicalSorter(GRAPH).static_order())


def test_every_module_of_the_folder_that_decides_has_its_place():
    found = {module.split(".")[1] for module in GRAPH if module.startswith("verification.")}
    assert found == set(STEPS)


def test_what_decides_imports_nothing_but_its_own_folder_and_the_base():
    for module, targets in GRAPH.items():
        if layer_of(module) == "verification":
            assert {layer_of(target) for target in targets} <= DECIDES_WITH, module


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_capability_can_be_deleted(capability):
    users = {
        module
        for module, targets in GRAPH.items()
        if capability in map(layer_of, targets) and layer_of(module) != capability
    }
    assert all(user in USES_CAPABILITIES or layer_of(user) in USES_CAPABILITIES for user in users)


def test_no_permission_is_unused():
    for user in USES_CAPABILITIES:
        used = {
            layer_of(t) for m, ts in GRAPH.items() if f"{m}.".startswith(f"{user}.") for t in ts
        }
        assert used & set(CAPABILITIES), user
    for package, users in ONLY_IN.items():
        for user in users:
            assert any(
                f"{name}.".startswith(f"{package}.")
                for module, path in MODULES.items()
                if f"{module}.".startswith(f"{user}.")
                for name in imports_of(path)
            ), f"{user} does not import {package}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_foreign_package_is_imported_only_where_it_may_be(module):
    for name in imports_of(MODULES[module]):
        for package, users in ONLY_IN.items():
            if f"{name}.".startswith(f"{package}."):
                assert any(f"{module}.".startswith(f"{user}.") for user in users), name


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "unloaded"),
    [
        ("import nitro_attest", {"cryptography", "click", "cbor2", "_cffi_backend"}),
        ("from nitro_attest.__main__ import run; run(['--help'])", {"cryptography", "cbor2"}),
        (
            "import nitro_attest.measurements.eif.image",
            {"nitro_attest.verification"},
        ),
        (
            "from nitro_attest.measurements import pcr8_from_certificate\n"
            f"pcr8_from_certificate(open({str(ROOT_PEM)!r}, 'rb').read())",
            {"nitro_attest.verification"},
        ),
        (
            "from nitro_attest.provenance import make_statement",
            {"nitro_attest.verification", "sigstore"},
        ),
        (
            "from nitro_attest.provenance import SigstoreIdentity, read_provenance",
            {"sigstore", "click"},
        ),
        (
            "from nitro_attest.channel import attested_socket, open_attested_connection",
            {"httpx", "httpcore", "anyio", "requests", "urllib3"},
        ),
        ("import nitro_attest.cli.audit", {"pyarrow"}),
        ("import nitro_attest.archive.dataset", {"click", "pyspark"}),
        (
            "import nitro_attest.enclave.__main__",  # both servers, and the forwarder
            {"cryptography", "click", "_cffi_backend", "nitro_attest.verification"},
        ),
        (
            "import nitro_attest.enclave.tls",
            {"click", "cbor2", "nitro_attest.verification"},
        ),
    ],
)
def test_what_is_not_needed_is_not_loaded(code, unloaded):
    assert loaded_by(code).isdisjoint(unloaded)


def test_every_public_name_is_where_the_package_says():
    for name in nitro_attest.__all__:
        assert hasattr(nitro_attest, name)
    with pytest.raises(AttributeError):
        _ = nitro_attest.no_such_name
    assert set(nitro_attest.__all__) <= set(dir(nitro_attest))


@pytest.mark.parametrize("package", ["", "channel", "measurements", "provenance"])
def test_type_checkers_and_the_interpreter_know_the_same_public_names(package):
    for_checkers = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(MODULES[package or "__init__"].read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    prefix = f"nitro_attest.{package}".removesuffix(".")
    namespace = sys.modules[prefix] if prefix in sys.modules else __import__(prefix, fromlist=["_"])
    at_run_time = {
        (f"{prefix}.{module}", name) for module, names in namespace._NAMES.items() for name in names
    }
    assert for_checkers == at_run_time
