"""Messages: answers of the NSM, of an enclave, of a monitor, of KMS; requests to the server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import re
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from unittest import mock

import cbor2
from cryptography.hazmat.primitives.asymmetric import rsa

from nitro_attest.enclave import answers, client, server
from nitro_attest.enclave.nsm import Nsm
from nitro_attest.errors import EnclaveError, KmsError
from nitro_attest.kms.ber import Element, parse_ber
from nitro_attest.kms.cms import parse_enveloped_data
from nitro_attest.kms.recipient import RecipientKey
from nitro_attest.limits import MAX_DOCUMENT_BYTES
from nitro_attest.testing.cms import encode_cms, encrypt_for
from nitro_attest.transport import connection
from nitro_attest.transport.response import Response, ResponseParser
from targets.base import VECTORS, Target, outcome, refused, rejection
from targets.documents import documents

NONCE = bytes(range(32))

# ---- The NSM -----------------------------------------------------------------------------------


class ScriptedNsm(Nsm):
    """Answers what it is told to; there is no device."""

    def __init__(self, answer: bytes) -> None:
        self._scripted = answer

    def _exchange(self, request: bytes) -> bytes:
        return self._scripted


_REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("attest", {}),
    ("describe_nsm", {}),
    ("describe_pcr", {"index": 0}),
    ("extend_pcr", {"index": 16, "data": b"x"}),
    ("lock_pcr", {"index": 16}),
    ("lock_pcrs", {"count": 17}),
    ("get_random", {}),
)


def check_nsm(data: bytes) -> bool:
    """An answer to the request that the first octet names: what it says, or an error of ours."""
    if not data:
        return False
    (method, arguments), answer = _REQUESTS[data[0] % len(_REQUESTS)], data[1:]
    found = outcome(len(answer), EnclaveError, getattr(ScriptedNsm(answer), method), **arguments)
    if refused(found):
        return False
    said = cbor2.loads(answer)
    fields = next(iter(said.values())) if isinstance(said, dict) else {}
    if isinstance(found, bytes):
        assert [found] == list(fields.values())
    elif found is not None:
        assert {name: getattr(found, name) for name in fields} == fields | (
            {"locked_pcrs": tuple(sorted(set(fields["locked_pcrs"])))}
            if "locked_pcrs" in fields
            else {}
        )
    return True


def nsm_answers() -> Iterator[bytes]:
    """An answer to every request, errors, and what the vectors hold."""
    answers: tuple[Any, ...] = (
        {"Attestation": {"document": b"document"}},
        {
            "DescribeNSM": {
                "version_major": 1,
                "version_minor": 0,
                "version_patch": 0,
                "module_id": "i-1234567890abcdef0-enc0123456789abcdef",
                "max_pcrs": 32,
                "locked_pcrs": [0, 1, 2],
                "digest": "SHA384",
            }
        },
        {"DescribePCR": {"lock": True, "data": bytes(48)}},
        {"ExtendPCR": {"data": bytes(48)}},
        "LockPCR",
        "LockPCRs",
        {"GetRandom": {"random": bytes(256)}},
    )
    for place, answer in enumerate(answers):
        yield bytes([place]) + cbor2.dumps(answer)
        yield bytes([place]) + cbor2.dumps({"Error": "InvalidArgument"})
    names = [name for name, _ in _REQUESTS]
    for vector in json.loads((VECTORS / "nsm.json").read_text())["answers"]:
        yield bytes([names.index(vector["method"])]) + bytes.fromhex(vector["answer"])
    for place in range(len(_REQUESTS)):
        for answer in ({"Error": "Unknown"}, {"Odd": 1}, {"DescribePCR": {"lock": 1, "data": b""}}):
            yield bytes([place]) + cbor2.dumps(answer)
        yield from (
            bytes([place]) + rest for rest in (b"", b"\xff", cbor2.dumps("LockPCR") + b"\0")
        )


# ---- Connections -------------------------------------------------------------------------------


class Peer(io.BytesIO):
    """A connection on which everything has arrived already."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stays readable, to see what was left."""

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return self.read(size)


class FailingPeer(Peer):
    """A connection that fails where the other one is closed."""

    error: OSError

    def recv(self, size: int) -> bytes:
        if data := self.read(size):
            return data
        raise self.error


def joined_chunks(data: bytes) -> bytes:
    """The body in chunks, read in the simplest way."""
    line, _, data = data.partition(b"\r\n")
    size = int(line, 16)
    assert data[size : size + 2] == b"\r\n"
    return data[:size] + joined_chunks(data[size + 2 :]) if size else b""


def check_http_answer(data: bytes) -> bool:
    """An enclave's answer to a challenge: its body is a document, and reads are bounded."""
    peer = Peer(data)
    with mock.patch.object(client, "connect", return_value=peer):
        found = outcome(len(data), EnclaveError, client.fetch, "unix:/peer", NONCE)
    assert peer.tell() < connection.MAX_HEAD_BYTES + MAX_DOCUMENT_BYTES + client._PIECE_BYTES
    in_loop = outcome(len(data), EnclaveError, fetch_in_loop, data)
    assert refused(in_loop) == refused(found)
    assert str(in_loop) == str(found)
    answer = outcome(len(data), EnclaveError, in_pieces, data, len(data) % 61 + 1)
    if refused(answer):
        assert (found.code, found.message) == (answer.code, answer.message)
        return False
    head, _, after = data.partition(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
    sizes = [
        (name, value.strip(b"\t "))
        for name, _, value in lines
        if name in (b"content-length", b"transfer-encoding")
    ]
    if sizes == [(b"transfer-encoding", b"chunked")]:
        assert answer.body == joined_chunks(after)
    else:
        [(name, length)] = sizes
        assert name == b"content-length"
        assert re.fullmatch(rb"0|[1-9][0-9]{0,4}", length)
        assert answer.body == after[: int(length)]
        assert len(answer.body) == int(length)
    assert len(answer.body) <= MAX_DOCUMENT_BYTES
    assert b"%d" % answer.status == head[9:12]
    assert len(answer.headers) == len(lines)
    if refused(found):
        assert answer.status != 200 or not answer.body
        return False
    assert (answer.status, answer.body) == (200, found.document)
    return True


def fetch_in_loop(data: bytes) -> client.Fetched:
    """Receives an answer in an event loop."""
    ours, its = socket.socketpair()

    async def connect_async(*_: object) -> socket.socket:
        return ours

    with its, contextlib.closing(asyncio.new_event_loop()) as loop:
        its.sendall(data)
        its.shutdown(socket.SHUT_WR)
        ours.setblocking(False)
        with mock.patch.object(client, "connect_async", connect_async):
            return loop.run_until_complete(client.fetch_async("unix:/peer", NONCE))


def in_pieces(data: bytes, size: int) -> Response:
    """Parses an answer that is received in pieces of a size, before the connection is closed."""
    parser = ResponseParser(MAX_DOCUMENT_BYTES)
    for start in range(0, len(data), size):
        if answer := parser.feed(data[start : start + size]):
            return answer
    return parser.end()


def http_answers() -> Iterator[bytes]:
    """Whole answers, answers in other forms, rejections, and bytes that are no answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    document = documents()[0]
    yield head + b"Content-Length: %d\r\n\r\n" % len(document) + document
    yield head + b"Content-Length:3\r\n\r\nabc and more"
    chunked = head + b"Transfer-Encoding: chunked\r\n%s\r\n%s\r\ndocument\r\n0\r\n\r\n"
    yield head + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndocu\r\n4\r\nment\r\n0\r\n\r\nrest"
    yield head + b"Transfer-Encoding: chunked\r\n\r\n4001\r\n"
    for size in (b"8", b"8;x=y", b"-5", b"0_3", b"%x" % 2**33, b"%x" % (2**63 - 1), b"%x" % 2**80):
        yield chunked % (b"", size)
        yield chunked % (b"Content-Length: 8\r\n", size)
    lengths = (b"", b"-5", b"+8", b"0_8", b"0x8", b"08", b"8, 8", b"8 8", b"8\r\n 8", b"9" * 5000)
    for length in (*lengths, b"8\r\nContent-Length: 8", b"16384", b"16385", b"%d" % 2**63):
        yield head + b"Content-Length: %s\r\n\r\ndocument" % length
    for field in (b"X: \0\r\n", b"X : y\r\n", b"X\r\n", b"X: y\n", b"X: %s\r\n" % (b"y" * 9000)):
        yield head + field + b"Content-Length: 1\r\n\r\n."
    yield from (head + b"\r\nno length", head)
    for status in (b"302 Found", b"404 ", b"503 Busy", b"504 Stalled", b"100 Continue", b"204 "):
        yield b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nbody\n"
    yield from (head + b"Content-Length: 0\r\n\r\n", b"HTTP/1.0 200\r\n\r\n", b"SSH-2.0-x\r\n", b"")


def check_hybrid(data: bytes) -> bool:
    """A monitor's answer to CONNECT: one line, and not an octet of what follows it is taken."""
    peer = Peer(data)
    deadline = connection.Deadline(60)
    found = outcome(
        len(data), EnclaveError, connection._cross_monitor, peer, "/vm.sock", 1300, deadline
    )
    line = data[: peer.tell()]
    good = re.fullmatch(rb"OK [0-9]+\n", line) is not None
    assert good != refused(found)
    for error in (ConnectionResetError(), TimeoutError()):
        peer = FailingPeer(data)
        peer.error = error
        failed = outcome(
            len(data), EnclaveError, connection._cross_monitor, peer, "/vm.sock", 1300, deadline
        )
        assert good != refused(failed)
    return good


def hybrid_answers() -> Iterator[bytes]:
    """The one good line, and others."""
    yield from (
        b"OK 1073741824\n",
        b"OK 1\nHTTP/1.1 200 OK\r\n",
        b"ERR\n",
        b"OK \n",
        b"",
        b"O" * 40,
    )


# ---- The server in the enclave -----------------------------------------------------------------


class Echo:
    """Stands for the NSM: its document is the nonce."""

    def attest(self, *, nonce: bytes = b"", **fields: object) -> bytes:
        return b"document for " + nonce


class Log:
    """The log of the server: one line per request. Anything else is a finding."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.info = self.lines.append


@contextlib.contextmanager
def serving() -> Iterator[tuple[server.AttestationServer, list[str]]]:
    """A server that does not listen, and what it logs; its connections come from here."""
    log = Log()
    with socket.socket() as listener, mock.patch.object(server, "LOG", log):
        served = server.AttestationServer(listener, Echo())
        try:
            yield served, log.lines
        finally:
            served._worker.stop()
            if served._worker._thread.is_alive():  # started by the first request for a document
                served._worker._thread.join()
            served._server._loop.close()


_GOOD_LINE = re.compile(
    rb"GET /(attestation/raw|attestation/hex|enclave/attestation)"
    rb"\?nonce=((?:[0-9A-Fa-f]{2}){16,64}) HTTP/1\.[01]"
)


def _all_of(connection: socket.socket) -> bytes:
    """Returns the bytes that the server sent; it may close before it has read the whole request."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def check_http_request(data: bytes) -> bool:
    """Sends a request: the server answers with a document or rejects it, and logs one line."""
    ours, its = socket.socketpair()
    with ours, serving() as (served, lines):
        its.setblocking(False)
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        served._server._loop.run_until_complete(served._server._close_after(its, "peer"))
        answer = _all_of(ours)
    (line,) = lines
    assert "\n" not in line
    json.loads(line)
    end = data[: connection.MAX_HEAD_BYTES].find(b"\r\n\r\n")
    if not answer:
        assert end < 0
        return False
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    assert status in answers._REASONS
    assert b"Content-Length: %d" % len(body) in head.split(b"\r\n")
    asked = _GOOD_LINE.fullmatch(data.partition(b"\r\n")[0]) if end >= 0 else None
    if asked is None:
        assert status != 200 or body == b"ok\n"
        return False
    document = b"document for " + bytes.fromhex(asked[2].decode())
    assert body == server._ENCODINGS["/" + asked[1].decode()][1](document)
    return True


def http_requests() -> Iterator[bytes]:
    """Challenges of every kind, and requests for something else."""
    for path in (b"/attestation/raw", b"/attestation/hex", b"/enclave/attestation"):
        yield b"GET %b?nonce=%b HTTP/1.1\r\nHost: enclave\r\n\r\n" % (path, NONCE.hex().encode())
    for target in (b"/healthz", b"/", b"/attestation/raw", b"/attestation/raw?nonce=ab&x=y"):
        yield b"GET " + target + b" HTTP/1.1\r\n\r\n"
    yield b"POST /healthz HTTP/1.1\r\n\r\nbody"
    yield b"GET /attestation/raw?nonce=" + b"ab" * 65 + b" HTTP/1.0\r\n\r\n"
    yield from (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n", b"A" * 9000, b"")


# ---- KMS ---------------------------------------------------------------------------------------


@functools.cache
def recipient() -> tuple[RecipientKey, rsa.RSAPublicKey]:
    """A key of this process."""
    private_key = rsa.generate_private_key(65537, 2048)
    return RecipientKey(private_key), private_key.public_key()


def check_recipient(data: bytes) -> bool:
    """An answer of KMS: every octet of its BER is accounted for, and what opens is its content."""
    tree = outcome(len(data), KmsError, parse_ber, data)
    if not refused(tree):
        assert encoded(tree, data) == data
    parts = outcome(len(data), KmsError, parse_enveloped_data, data)
    plaintext = outcome(len(data), KmsError, recipient()[0].decrypt, data)
    if refused(parts):
        assert parts.code == "kms.format"
        assert rejection(parts) == rejection(plaintext)
        return False
    assert not refused(tree)
    assert len(parts.iv) == 16
    name = hashlib.sha256(recipient()[0].public_key_der).digest()
    other = len(parts.key_id) == len(name) and parts.key_id != name
    assert other == (rejection(plaintext) == ("kms.recipient", None))
    if refused(plaintext):
        assert other or rejection(plaintext) == ("kms.decrypt", None)
        return False
    assert len(plaintext) < len(parts.ciphertext)
    return True


def encoded(element: Element, data: bytes) -> bytes:
    """The element in BER; from the input comes only which lengths are of the indefinite form."""
    content = element.content + b"".join(encoded(child, data) for child in element.children)
    if data[element.offset + 1] == 0x80:
        return bytes([element.tag, 0x80]) + content + b"\0\0"
    size = len(content)
    octets = b"" if size < 0x80 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets
    return bytes([element.tag]) + length + content


def kms_answers() -> Iterator[bytes]:
    """Answers to this process's key, to another's, and of no key at all."""
    key, public = recipient()
    for constructed in (True, False):
        yield encrypt_for(b"thirty-two octets of data key...", public, constructed=constructed)
        parts = parse_enveloped_data(encrypt_for(b"plaintext", public))
        yield encode_cms(
            b"another form of name", parts.encrypted_key, parts.iv, parts.ciphertext,
            constructed=constructed,
        )  # fmt: skip
        name = hashlib.sha256(key.public_key_der).digest()
        yield encode_cms(name, bytes(256), bytes(16), bytes(48), constructed=constructed)
        yield encode_cms(bytes(32), bytes(256), bytes(16), bytes(48), constructed=constructed)
        whole = encrypt_for(b"plaintext", public, constructed=constructed)
        parts = parse_enveloped_data(whole)
        yield encode_cms(name, parts.encrypted_key, parts.iv, bytes(48), constructed=constructed)
        yield encode_cms(name, parts.encrypted_key, parts.iv, b"x", constructed=constructed)
        yield encode_cms(name, parts.encrypted_key, b"short", bytes(48), constructed=constructed)
        yield encode_cms(name, b"short", parts.iv, bytes(48), constructed=constructed)
        yield from (whole + b"\0", whole[:-1], whole.replace(b"\x2a\x86\x48", b"\x2a\x86\x49"))
    yield from (b"", b"\0", b"\x1f\1\0", b"\x04\x80\0\0", b"\x04\x81\1x", b"\x04\x88" + b"\xff" * 8)
    yield from (b"\x30\x80" * 17 + b"\0\0" * 17, b"\x30\0", b"\x04\x85\1\0\0\0\0", b"\x04\3ab")


TARGETS = {
    "nsm": Target(check_nsm, nsm_answers, ("enclave.nsm:_answer,_decode,_nsm_error,_check",)),
    "http_answer": Target(
        check_http_answer,
        http_answers,
        ("transport.response", "enclave.client:_ask,_ask_async,_document"),
        "text.dict",
        26000,
    ),
    "hybrid": Target(
        check_hybrid, hybrid_answers, ("transport.connection:_cross_monitor",), "text.dict", 64
    ),
    "http_request": Target(
        check_http_request,
        http_requests,
        ("enclave.server:AttestationServer._read_head,AttestationServer._answer",),
        "text.dict",
        9000,
    ),
    "recipient": Target(
        check_recipient,
        kms_answers,
        ("kms.ber", "kms.cms", "kms.recipient:RecipientKey.decrypt,RecipientKey._decrypt"),
        "der.dict",
        6200,
    ),
}
