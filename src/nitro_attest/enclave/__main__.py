"""``python -m nitro_attest.enclave``: requests or serves attestation documents in an enclave.

Needs only Python, cbor2 and this package, and cryptography for ``serve --tls`` alone. Neither click
nor the C core is loaded.
"""

from __future__ import annotations

import argparse
import base64
import logging
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from nitro_attest._internal.streams import replace_standard_streams
from nitro_attest.enclave.forward import ForwardLimits, forward
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.enclave.server import serve
from nitro_attest.enclave.tls_server import serve_tls
from nitro_attest.errors import InputError, NitroAttestError
from nitro_attest.transport.connection import DEFAULT_PORT

_EXIT_INPUT: Final = 2  # as the command line outside, which loads click
_EXIT_ENCLAVE: Final = 7
_EXIT_OUTPUT: Final = 74  # the document cannot be written: EX_IOERR of sysexits.h


def main(
    arguments: Sequence[str] | None = None, program: str = "python -m nitro_attest.enclave"
) -> int:
    """Runs one command.

    Args:
        arguments: The arguments without the program's name; by default those of the process.
        program: The program's name in the help.

    Returns:
        The exit code: 0, 2 for an invalid argument, 7 for an EnclaveError, 74 if the document
        cannot be written, or 130 after SIGINT.
    """
    try:
        return _run(_parser(program), arguments)
    except NitroAttestError as error:
        print(f"error: {error}", file=sys.stderr)
        return _EXIT_INPUT if isinstance(error, InputError) else _EXIT_ENCLAVE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    try:
        options = parser.parse_args(arguments)
        if options.command == "serve":
            _check_tls_options(parser, options)
    except SystemExit as done:  # after --help, or a usage error
        return _write(b"", None) or int(done.code or 0)
    return int(options.run(options))


class _Once(argparse.Action):
    """Stores a value, and rejects an option that is given twice: the last would count."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given: set[str] = vars(namespace).setdefault("given", set())
        if self.dest in given:
            parser.error(f"{option_string} is given more than once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.register("action", None, _Once)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Request or serve attestation documents of the Nitro Security Module (NSM) of "
        "this enclave, or forward connections to an enclave.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    request = commands.add_parser("request", help="write one document to a file or stdout")
    request.add_argument("--nonce", type=_hex, metavar="HEX", help="nonce of a verifier")
    request.add_argument("--format", choices=("raw", "hex", "base64"), default="raw")
    request.add_argument("--output", type=Path, metavar="FILE", help="default: stdout")

    server = commands.add_parser("serve", help="serve documents over HTTP until SIGTERM")
    endpoint = server.add_mutually_exclusive_group()
    endpoint.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"vsock port (default: {DEFAULT_PORT})"
    )
    endpoint.add_argument(
        "--listen",
        metavar="ENDPOINT",
        help="vsock:any:PORT, unix:/path or http://host:port (host:port with --tls)",
    )
    server.add_argument(
        "--tls", action="store_true", help="serve an application over TLS with an attested key"
    )
    server.add_argument(
        "--forward",
        metavar="ENDPOINT",
        help="with --tls, the application: unix:/path or host:port",
    )

    for command in (request, server):
        command.add_argument(
            "--user-data", type=_hex, metavar="HEX", help="statement of the enclave"
        )
        command.add_argument(
            "--public-key",
            type=_file,
            metavar="FILE",
            help="public key for messages to this enclave",
        )

    forwarder = commands.add_parser(
        "forward", help="on the parent: forward TCP connections to an enclave until SIGTERM"
    )
    forwarder.add_argument(
        "--listen", metavar="ENDPOINT", required=True, help="such as 0.0.0.0:443"
    )
    limits = ForwardLimits()
    forwarder.add_argument("--to", metavar="ENDPOINT", required=True, help="such as vsock:16:443")
    forwarder.add_argument(
        "--connections",
        type=_positive,
        metavar="N",
        default=limits.connections,
        help="maximum number of open connections (default: %(default)s)",
    )
    forwarder.add_argument(
        "--idle",
        type=_positive,
        metavar="SECONDS",
        default=round(limits.idle_seconds),
        help="close a connection after this time without a byte (default: %(default)s)",
    )

    request.set_defaults(run=_request)
    server.set_defaults(run=_serve)
    forwarder.set_defaults(run=_forward)
    return parser


def _check_tls_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.tls and not options.forward:
        parser.error("--tls needs --forward with the endpoint of the application")
    if options.forward and not options.tls:
        parser.error("--forward needs --tls")
    if options.tls and options.public_key is not None:
        parser.error("--public-key cannot be used with --tls: public_key is the TLS key")


def _request(options: argparse.Namespace) -> int:
    with Nsm() as nsm:
        document = nsm.attest(
            nonce=options.nonce, user_data=options.user_data, public_key=options.public_key
        )
    if options.format == "hex":
        document = document.hex().encode() + b"\n"
    elif options.format == "base64":
        document = base64.b64encode(document) + b"\n"
    return _write(document, options.output)


def _write(data: bytes, file: Path | None) -> int:
    """Writes to a file or stdout, and flushes stdout, which may hold the help; returns 0 or 74."""
    try:
        if file is not None:
            file.write_bytes(data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
    except OSError as error:
        print(f"error: cannot write the result: {error}", file=sys.stderr)
        return _EXIT_OUTPUT
    return 0


def _serve(options: argparse.Namespace) -> int:
    if not 0 <= options.port < 0xFFFFFFFF:
        raise InputError(
            "input.endpoint", f"invalid vsock port: expected 0 to 4294967294, found {options.port}"
        )
    _log_to_stderr()
    endpoint = options.listen or f"vsock:any:{options.port}"
    if options.tls:
        serve_tls(endpoint, forward=options.forward, user_data=options.user_data)
    else:
        serve(endpoint, user_data=options.user_data, public_key=options.public_key)
    return 0


def _forward(options: argparse.Namespace) -> int:
    _log_to_stderr()
    limits = ForwardLimits(connections=options.connections, idle_seconds=options.idle)
    forward(options.listen, options.to, limits=limits)
    return 0


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


def _positive(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError("expected a number from 1 to 999999999")
    return int(text)


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected hex digits: {error}") from None
    return _not_empty(value)


def _file(name: str) -> bytes:
    try:
        value = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read the file: {error}") from None
    return _not_empty(value)


def _not_empty(value: bytes) -> bytes:
    # An empty value is most likely an unset variable in the caller's script.
    if not value:
        raise argparse.ArgumentTypeError("empty value: expected at least 1 byte")
    return value


if __name__ == "__main__":
    replace_standard_streams()
    sys.exit(main())
