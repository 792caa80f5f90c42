"""The exit code of every verb depends on its result, not on who reads stdout and stderr."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FIXTURES

DOCUMENT = str(FIXTURES / "real/20250916_encl_us-east-1_tkhq_b1086cbb.bin")
POLICY = str(FIXTURES / "vectors/policy/build-enclave.txt")
PRINCIPAL = "arn:aws:iam::123456789012:role/x"
TOOL = [sys.executable, "-m", "nitro_attest"]
ENCLAVE = [sys.executable, "-m", "nitro_attest.enclave"]

CALLS = {
    "verified": ([*TOOL, "verify", DOCUMENT, "--at", "document"], 0),
    "rejected": ([*TOOL, "verify", DOCUMENT, DOCUMENT, "--at", "2020-01-01T00:00:00Z"], 4),
    "inspect": ([*TOOL, "inspect", DOCUMENT], 0),
    "fetch": ([*TOOL, "fetch", "--any-enclave", "--endpoint", "unix:/absent:1300"], 7),
    "eif": ([*TOOL, "eif", str(FIXTURES / "vectors/eif/synthetic.eif")], 0),
    "pcr": ([*TOOL, "pcr", "role", PRINCIPAL], 0),
    "kms-policy": ([*TOOL, "kms-policy", "make", "--policy", POLICY, "--principal", PRINCIPAL], 0),
    "usage error": ([*TOOL, "verify", "--absent"], 2),
    "help": ([*TOOL, "--help"], 0),
    "enclave": ([*TOOL, "enclave", "--help"], 0),
    "program": ([*ENCLAVE, "request"], 7),
    "program help": ([*ENCLAVE, "--help"], 0),
}
"""Name: command and exit code."""

needs_dev_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="this system has no /dev/full"
)


def shell(name, redirections="", **options):
    """Runs a call with redirections; returns its exit code, stdout and stderr."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *CALLS[name][0]]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run(command, check=False, **options)
    return done.returncode, done.stdout, done.stderr


@functools.cache
def undisturbed(name):
    return shell(name)


@pytest.mark.parametrize("name", CALLS)
def test_each_call_has_its_exit_code(name):
    code, out, err = undisturbed(name)
    assert code == CALLS[name][1]
    assert out or err
    assert b"Traceback" not in err


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_stderr_changes_nothing(name):
    code, out, _ = undisturbed(name)
    assert shell(name, "2>&-") == (code, out, b"")


@needs_dev_full
@pytest.mark.parametrize("name", CALLS)
def test_neither_a_full_stderr_nor_a_pipe_without_a_reader_changes_the_exit_code(name):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert shell(name, "2>/dev/full", stdout=writer)[0] == CALLS[name][1]
    finally:
        os.close(writer)


@needs_dev_full
@pytest.mark.parametrize("name", CALLS)
def test_a_result_that_cannot_be_written_exits_74(name):
    code, out, err = undisturbed(name)
    found = shell(name, ">/dev/full")
    if out:
        assert found[0] == 74
        assert b"cannot write the result: [Errno 28]" in found[2]
    else:
        assert found == (code, out, err)


@pytest.mark.parametrize(
    ("name", "code"), [("verified", 74), ("rejected", 4), ("program help", 74), ("program", 7)]
)
def test_a_result_for_a_closed_stdout_exits_74(name, code):
    assert shell(name, ">&- 2>&-") == (code, b"", b"")


def test_a_reader_that_closes_its_pipe_after_a_line_changes_nothing():
    documents = [DOCUMENT] * 5
    command = [*TOOL, "verify", *documents, "--at", "document"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"AUTHENTIC AT SIGNING TIME")
        process.stdout.close()
        assert process.stderr.read() == b"5 of 5 verified\n"
    assert process.returncode == 0


def test_no_file_takes_the_place_of_a_closed_stream():
    code = (
        "import sys; from nitro_attest._internal.streams import replace_standard_streams\n"
        "replace_standard_streams(); sys.exit(open('/dev/null').fileno())"
    )
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, check=False).returncode > 2
