"""The CID of an enclave on this host by its name, from ``nitro-cli describe-enclaves``."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import IO, Any, Final, cast

from nitro_attest._internal.strict_json import read_json
from nitro_attest.errors import EnclaveError, InputError

_COMMAND: Final = "nitro-cli describe-enclaves"
_SECONDS: Final = 10
_MAX_BYTES: Final = 1 << 20
"""Maximum size of the output: about 1 KB per enclave, of which a host has at most four."""

_MAX_CID: Final = 0xFFFFFFFE


def find_cid(name: str) -> int:
    """Returns the CID of the one running enclave with a name.

    Args:
        name: The enclave's name, as given to ``nitro-cli run-enclave``.

    Raises:
        EnclaveError: ``transport.nitro_cli``: nitro-cli cannot be run, failed, or printed something
            else than a list of enclaves. ``transport.no_cid``: no running enclave has this name, or
            several have.
    """
    return parse_cid(_describe_enclaves(), name)


def parse_cid(output: bytes, name: str) -> int:
    """Parses the output of ``nitro-cli describe-enclaves``: ``find_cid`` without running it."""
    try:
        text = output.decode("utf-8").strip(" \t\r\n")
        enclaves, end = read_json(text)
    except UnicodeDecodeError:
        raise _unexpected("expected UTF-8") from None
    except InputError as error:
        raise _unexpected(error.message) from None
    if end != len(text) or not isinstance(enclaves, list):
        raise _unexpected("expected one JSON list")
    running = [_cid(enclave) for enclave in enclaves if _is_running(enclave, name)]
    if len(running) != 1:
        raise EnclaveError(
            "transport.no_cid",
            f"expected one running enclave with the name {name!r}, found {len(running)}",
        )
    return running[0]


def _is_running(enclave: object, name: str) -> bool:
    if not isinstance(enclave, dict):
        raise _unexpected("expected a list of JSON objects")
    return enclave.get("EnclaveName") == name and enclave.get("State") == "RUNNING"


def _cid(enclave: dict[str, Any]) -> int:
    cid = enclave.get("EnclaveCID")
    if type(cid) is not int or not 0 < cid <= _MAX_CID:
        raise _unexpected(f"expected an EnclaveCID of 1 to {_MAX_CID}, found {cid!r:.60}")
    return cid


def _describe_enclaves() -> bytes:
    try:
        with subprocess.Popen(  # noqa: S603  constant; on the operator's PATH
            _COMMAND.split(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                output = _read(cast(IO[bytes], process.stdout), time.monotonic() + _SECONDS)
                status = process.wait(_SECONDS)
            finally:
                process.kill()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(str(error)) from None
    if status != 0:
        raise _failed(f"exit status {status}")
    return output


def _read(pipe: IO[bytes], end: float) -> bytes:
    """Reads until the end of the output, within the limits of time and size."""
    output = b""
    while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            return output
        output += piece
        if len(output) > _MAX_BYTES:
            raise _unexpected(f"expected at most {_MAX_BYTES} bytes")
    raise _failed(f"no end of its output within {_SECONDS} s")


def _failed(reason: str) -> EnclaveError:
    return EnclaveError("transport.nitro_cli", f"{_COMMAND} failed ({reason}); use --cid instead")


def _unexpected(reason: str) -> EnclaveError:
    return EnclaveError(
        "transport.nitro_cli", f"unexpected output of {_COMMAND}: {reason}; use --cid instead"
    )
