"""The package without the libraries that its adapters need."""

import subprocess
import sys

import pytest


def output_of(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("httpx", "AttestedTransport", "with its extra http"),
        ("httpcore", "AsyncAttestedTransport", "with its extra http"),
        ("anyio", "AsyncAttestedTransport", "with its extra http"),
        ("requests", "AttestedAdapter", "with its extra requests"),
        ("urllib3", "AttestedAdapter", "with its extra requests"),
    ],
)
def test_an_adapter_without_its_library_names_the_extra(missing, name, extra):
    assert extra in output_of(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import nitro_attest.channel\n"
        "from nitro_attest import InputError\n"
        "from nitro_attest.channel import attested_socket, open_attested_connection\n"
        f"try:\n    from nitro_attest.channel import {name}\n"
        "except InputError as error:\n    assert error.code == 'input.extra'; print(error)"
    )
