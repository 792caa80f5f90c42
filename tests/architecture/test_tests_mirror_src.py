"""Every module of the package has a test file at its place in tests/unit, or a reason here.

The tests of ``folder/module.py`` are in ``folder/test_module.py``, or in the file of the package:
``test_folder.py`` beside the folder.
"""

from support.paths import ROOT

SRC = ROOT / "src/nitro_attest"
UNIT = ROOT / "tests/unit"

# Modules and folders without a test file of their own name, and the tests that run them.
TESTED_BY = {
    "_internal": "unit",  # helpers, tested through every module that uses them
    "archive/results": "unit/archive/test_dataset.py",
    "archive/spark": "integration/archive/test_engines.py",
    "cli": "unit/cli/test_cli.py",  # tested through the command line
    "enclave/answers": "unit/enclave/test_server.py",
    "enclave/connections": "unit/enclave/test_forward.py",
    "errors": "docs/test_rules_and_codes.py",  # the codes, against the pages
    "keys/seal": "unit/keys/test_public_key.py",
    "kms/ber": "property/test_ber_hostile.py",
    "kms/cms": "unit/kms/test_recipient.py",
    "kms/findings": "unit/kms/test_statements.py",
    "kms/model": "property/test_key_policy_model.py",
    "kms/parse": "unit/kms/test_statements.py",
    "limits": "unit/verification/test_core.py",  # the same numbers in C and in Python
    "measurements/image_file": "unit/measurements/test_eif.py",
    "provenance/fields": "unit/provenance/test_statement.py",
    "provenance/signer": "unit/provenance/test_reader.py",
    "testing": "unit/testing/test_nitro.py",  # the parts that FakeNitro is made of
}


def modules():
    """Paths in the package without the suffix. The tables of faults are data, tested as such."""
    for path in SRC.rglob("*.py"):
        module = path.relative_to(SRC).with_suffix("")
        if module.name not in ("__init__", "__main__") and "faults" not in module.parts:
            yield module


def has_tests_of_its_name(module):
    folder, package = UNIT / module.parent, module.parent
    own = folder / f"test_{module.name.lstrip('_')}.py"
    return own.exists() or (UNIT / package.parent / f"test_{package.name}.py").exists()


def untested():
    return {module for module in modules() if not has_tests_of_its_name(module)}


def test_every_module_has_a_test_file_of_its_name_or_is_listed():
    unlisted = {
        module.as_posix()
        for module in untested()
        if not {module.as_posix(), module.parent.as_posix()} & set(TESTED_BY)
    }
    assert unlisted == set()


def test_each_listed_name_needs_its_line_and_its_tests_exist():
    needed = {place.as_posix() for module in untested() for place in (module, module.parent)}
    assert set(TESTED_BY) - needed == set()
    for tests in TESTED_BY.values():
        assert (ROOT / "tests" / tests).exists(), tests
