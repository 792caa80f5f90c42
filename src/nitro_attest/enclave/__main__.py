"""``python -m nitro_attest.enclave``: request a document or serve them, inside an enclave.

Needs Python, cbor2 and this package; neither click nor cryptography nor the C core is loaded.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nitro_attest.enclave.nsm import Nsm
from nitro_attest.enclave.server import serve
from nitro_attest.enclave.transport import DEFAULT_PORT
from nitro_attest.errors import InputError, NitroAttestError

_EXIT_OUTPUT: Final = 74  # the document could not be written: EX_IOERR of sysexits.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    Args:
        arguments: Without the program's name; by default those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "serve":
            return _serve(options)
        return _request(options)
    except NitroAttestError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nitro_attest.enclave",
        description="Ask the Nitro Security Module of this enclave for attestation documents.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    request = commands.add_parser("request", help="one document, to a file or stdout")
    request.add_argument("--nonce", type=_hex, metavar="HEX", help="what a verifier sent")
    request.add_argument("--format", choices=("raw", "hex", "base64"), default="raw")
    request.add_argument("--output", type=Path, metavar="FILE", help="default: stdout")

    server = commands.add_parser("serve", help="documents over HTTP on vsock, until SIGTERM")
    where = server.add_mutually_exclusive_group()
    where.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"vsock port (default: {DEFAULT_PORT})"
    )
    where.add_argument(
        "--listen", metavar="ENDPOINT", help="vsock:any:PORT, unix:/path or http://host:port"
    )

    for command in (request, server):
        command.add_argument(
            "--user-data", type=_hex, metavar="HEX", help="what the enclave says about itself"
        )
        command.add_argument(
            "--public-key", type=_file, metavar="FILE", help="the key to be spoken to with"
        )
    return parser


def _request(options: argparse.Namespace) -> int:
    with Nsm() as nsm:
        document = nsm.attest(
            nonce=options.nonce, user_data=options.user_data, public_key=options.public_key
        )
    if options.format == "hex":
        document = document.hex().encode() + b"\n"
    elif options.format == "base64":
        document = base64.b64encode(document) + b"\n"
    try:
        if options.output is not None:
            options.output.write_bytes(document)
        else:
            sys.stdout.buffer.write(document)
            sys.stdout.buffer.flush()
    except OSError as error:
        print(f"error: the document could not be written: {error}", file=sys.stderr)
        if options.output is None:  # or the interpreter tries once more at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_OUTPUT
    return 0


def _serve(options: argparse.Namespace) -> int:
    if not 0 <= options.port < 0xFFFFFFFF:
        raise InputError("input.endpoint", f"{options.port} is no vsock port")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    serve(
        options.listen or f"vsock:any:{options.port}",
        user_data=options.user_data,
        public_key=options.public_key,
    )
    return 0


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not hexadecimal: {error}") from None
    return _not_empty(value)


def _file(name: str) -> bytes:
    try:
        value = Path(name).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot be read: {error}") from None
    return _not_empty(value)


def _not_empty(value: bytes) -> bytes:
    # An option that was given and says nothing is a mistake of the caller's script.
    if not value:
        raise argparse.ArgumentTypeError("is empty")
    return value


if __name__ == "__main__":
    sys.exit(main())
