"""Texts: JSON, policy files, key policies, documents as text, batch lines, names to be measured."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.strict_json import MAX_DEPTH, read_json
from nitro_attest.cli import batch
from nitro_attest.cli.nitro_cli import parse_cid
from nitro_attest.cli.output import Source
from nitro_attest.document_text import decode
from nitro_attest.errors import EnclaveError, FormatError, InputError
from nitro_attest.kms.findings import FINDINGS
from nitro_attest.kms.lint import lint
from nitro_attest.kms.parse import MAX_KEY_POLICY_BYTES
from nitro_attest.measurements.pcr import (
    pcr3_from_role_arn,
    pcr4_from_instance_id,
    pcr8_from_certificate,
)
from nitro_attest.policy_files import parse_nitrotpm_policy, parse_policy
from nitro_attest.transport.connection import UnixEndpoint, parse_endpoint
from nitro_attest.verification.batch import Request
from targets.base import VECTORS, Target, outcome, refused
from targets.documents import documents

PIN = "ab" * 48


def check_json(data: bytes) -> bool:
    """JSON of one meaning: what the standard decoder reads, less what it lets through."""
    text = data.decode("utf-8", "surrogateescape")
    found = outcome(len(data), InputError, read_json, text)
    if refused(found):
        return False
    value, end = found
    assert 0 < end <= len(text)
    assert value == json.loads(text[:end], object_pairs_hook=_with_different_keys)
    assert _depth(value) <= MAX_DEPTH
    return True


def _with_different_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key.casefold() for key, _ in pairs}) == len(pairs)
    return dict(pairs)


def _depth(value: Any) -> int:
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def json_texts() -> Iterator[bytes]:
    """Values of every type, and what is refused."""
    yield from (b'{"a": [1, -2.5e3, null, true, "\\u00e9\\ud83d\\ude00"], "b": {}}', b"[]", b"1")
    yield from (b'{"a": 1, "A": 2}', b"NaN", b"1e999", b"9" * 40, b"[" * 33 + b"]" * 33)
    yield from (b'"unended', b'{"a": 1} tail', b"[1,]", b'"\\"[[["', b"")


def check_policy(data: bytes) -> bool:
    """A policy file: something is demanded, and its own JSON form reads back the same."""
    found = outcome(len(data), InputError, parse_policy, data)
    if refused(found):
        return False
    policy = found.policy
    assert policy.measurements
    if found.form in ("flat", "lines") and b"\\" not in data:
        # L-2: no PCR that the text names is skipped, except for its name alone in a comment.
        text = re.sub(r'"sha384[^"]*"', "", data.decode("utf-8-sig"), flags=re.IGNORECASE)
        if found.form == "lines":
            assert not re.search(r"(?:^|\s)#.*(?:pcr\d+\s*[=:]|[0-9a-f]{65})", text, re.I | re.M)
            text = re.sub(r"(?:^|\s)#[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*", "", text)
            text = re.sub(r"^\s*([0-9]+\s*=)", r"pcr\1", text, flags=re.M)
        named = re.findall(r"pcr[0-9]", text, re.IGNORECASE)
        assert sum(len(item.pcrs) for item in policy.measurements) == len(named)
    for item in policy.measurements:
        assert item.pcrs
        assert all(0 <= index <= 31 and len(value) == 48 for index, value in item.pcrs.items())
    again = parse_policy(json.dumps(policy.to_dict()))
    assert (again.policy, again.form) == (policy, "policy")
    return True


def check_policy_of_one(data: bytes) -> bool:
    """The same where the caller says which enclave or register is meant, or names the form."""
    for options in (
        {"enclave_name": "hello"},
        {"pcr_index": 3},
        {"policy_form": "history"},
        {"policy_form": "toml"},
    ):
        found = outcome(len(data), InputError, parse_policy, data, **options)
        if not refused(found):
            expected = {"enclave_name": "enclave", "pcr_index": "register"}
            [(name, value)] = options.items()
            assert found.form == expected.get(name, value)
            assert found.form == "history" or len(found.policy.measurements) == 1
            return True
    return False


def check_nitrotpm_policy(data: bytes) -> bool:
    """A file about an instance: in JSON it is not also one about an enclave (T-2)."""
    found = outcome(len(data), InputError, parse_nitrotpm_policy, data)
    if refused(found):
        return False
    assert found.measurements
    assert all(item.pcrs for item in found.measurements)
    as_enclave = outcome(len(data), InputError, parse_policy, data)
    assert refused(as_enclave) or as_enclave.form == "lines"
    if any(
        item.pcrs.keys() & {7, 12} and item.pcrs.keys() <= {4, 7, 12} for item in found.measurements
    ):
        assert refused(as_enclave)  # T-6
    return True


def policies() -> Iterator[bytes]:
    """Files of every form that is read."""
    for path in sorted((VECTORS / "policy").iterdir()):
        yield path.read_bytes()
    yield b"PCR4=%b\nPCR7=%b\n" % (PIN.encode(), PIN.encode())
    yield f"# PCR0 of v1\n0={PIN} # image\npcr1: {PIN}\n".encode()
    yield from (f"# PCR0={PIN}\nPCR1={PIN}\n".encode(), b"PCR0=x #\n# PCR0 \n")
    yield f'[attestation]\nPCR0 = "{PIN}"\n'.encode()
    yield f'name = "app"\n[a]\nPCR0 = "{PIN}"\n[b]\nx = [1, {{y = 2}}]\n'.encode()
    yield from (b"[a]\nPCR0 = 1\n[[b]]\npcr0 = 2\n", b"[a]\n", "[a]\n# \u2028".encode(), b"[a\n]")
    release = {"PCR0": PIN, "timestamp": 1}
    for more in ({}, {"schema": "x"}, {"Measurements": {"PCR0": PIN}}):
        yield json.dumps([release | more]).encode()
    yield json.dumps({"Measurements": {"PCR0": PIN}, "tag": "v1"}).encode()
    pcrs = {"0": PIN, "16": PIN}
    for members in (
        {"pcrs": pcrs},
        {"image": {"pcrs": pcrs}},
        {"value": PIN},
        {"statements": [_STATEMENT, _STATEMENT]},
        {"condition": _STATEMENT["Condition"]},
        {"pcrs": {"4": PIN, "7": PIN, "12": PIN}},
        {"pcrs": {"4": PIN}},
        {"pcrs": pcrs, "value": PIN},
        {"image": 1},
        {"attestation": {}},
        {},
    ):
        yield json.dumps({"schema": "nitro-attest/1", "source": "-", **members}).encode()
    key = "kms:RecipientAttestation:"
    for values in ({f"{key}PCR0": PIN, f"{key}ImageSha384": PIN}, {"aws:x": PIN}):
        yield json.dumps({"StringEqualsIgnoreCase": values}).encode()
    yield json.dumps([_STATEMENT | {"Effect": "Deny"}]).encode()
    yield json.dumps({"PCR": PIN}).encode()
    yield json.dumps([{"EnclaveName": "hello", "Measurements": {"PCR0": PIN}}]).encode()
    instance = {"Measurements": {f"PCR{index}": PIN for index in (4, 7, 12)}}
    yield json.dumps(instance).encode()
    yield json.dumps([instance, instance]).encode()
    for missing in ("PCR7", "PCR12"):
        pcrs = {name: pin for name, pin in instance["Measurements"].items() if name != missing}
        yield json.dumps({"Measurements": pcrs}).encode()
    value = json.dumps({"Measurements": {"PCR0": PIN}})
    for line in (f"PCR1: {PIN}", f'  {{"PCR1": "{PIN}"}}', "# comment", "#1 [internal] load"):
        yield f"Start\r{line}\n{value}\u2028{line}".encode()
    image = b'{"Measurements": {"PCR0": "%b"}}' % PIN.encode()
    yield from (image + b"\n" + image, b"[%b, 1]" % image, b"[%b, %b]" % (image, image))
    yield from (b'[%b, {"PCR": "%b"}]' % (image, PIN.encode()), b"[]", b"\xff", b"\xff\xfeP\0")
    yield from (b"PCR0=%b\nPCR0=%b\n" % (PIN.encode(), PIN.encode()), b"PCR0: x\n", b" " * 9, b"")
    running = {"EnclaveName": "hello", "Flags": "DEBUG_MODE", "Measurements": {"PCR0": PIN}}
    for other in ({}, {"EnclaveName": "other"}, {"Measurements": None}):
        yield json.dumps([running, running | other]).encode()
    yield json.dumps(running).encode()
    yield json.dumps(running | {"Measurements": None}).encode()


_STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:role/enclaves"},
    "Action": ["kms:Decrypt", "kms:Gen*"],
    "Resource": "*",
    "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": PIN}},
}


def check_key_policy(data: bytes) -> bool:
    """A key policy: every finding has a meaning and points at something that is there."""
    found = outcome(len(data), InputError, lint, data)
    if refused(found):
        return False
    policy = json.loads(data.decode("utf-8-sig").strip())
    for finding in found:
        assert finding.code in FINDINGS
        _resolve(policy, finding.where)
    json.dumps([finding.to_dict() for finding in found])
    return True


def _resolve(value: Any, pointer: str) -> Any:
    """RFC 6901; a list of one may stand without its list."""
    for name in pointer.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif not (isinstance(value, dict) and name == "0" and "Effect" in value):
            value = value[name]
    return value


def key_policies() -> Iterator[bytes]:
    """Policies with one hole each, and one without."""
    conditions = [
        {"Null": {"kms:RecipientAttestation:PCR0": "false"}},
        {"ForAllValues:StringLike": {"kms:RecipientAttestation:PCR0": [PIN[:-1] + "*"]}},
        {"StringEqualsIfExists": {"kms:RecipientAttestation:nitrotpmpcr4": PIN}},
        {"StringNotEquals": {"kms:RecipientAttestation:PCR8": "0" * 96}, "Bool": {"aws:x": "y"}},
        {"StringEquals": {"kms:RecipientAttestation": PIN, "kms:RecipientAttestation:PCR17": PIN}},
    ]
    statements = [_STATEMENT, *({**_STATEMENT, "Condition": condition} for condition in conditions)]
    statements += [{**item, "Effect": "Deny", "Principal": "*"} for item in statements]
    statements += [{"Effect": "Allow", "NotAction": "kms:*", "NotPrincipal": "*", "Odd/~": 1}]
    for statement in statements:
        yield json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    yield json.dumps({"Statement": _STATEMENT, "Id": "one"}).encode()
    yield json.dumps({"Statement": statements}).encode()[:MAX_KEY_POLICY_BYTES]
    unlike = {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": PIN}}
    open_to_all = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    for who in ("*", {"AWS": "*"}):
        deny = {**open_to_all, "Effect": "Deny", "Principal": who, "Condition": unlike}
        for principal in (_STATEMENT["Principal"], {"Service": "ec2.amazonaws.com"}):
            allow = {**open_to_all, "Principal": principal}
            yield json.dumps({"Statement": [allow, deny]}).encode()
    yield b'{"Statement": [{"Effect": "Maybe"}]}'
    yield from faulty_key_policies()


def faulty_key_policies() -> Iterator[bytes]:
    """Policies with one fault each in the condition, and policies of another form."""
    for condition in (
        {"StringEquals": {"kms:RecipientAttestation:PCR99": PIN}},
        {"NumericEquals": {"kms:RecipientAttestation:PCR1": PIN}},
        {"StringEquals": {"kms:RecipientAttestation:NitroTPMPCR4": [PIN, 1, "xy", "0" * 96]}},
        {"StringEquals": {"kms:RecipientAttestation:PCR0": ["0" * 96]}},
        {"StringLike": {"kms:RecipientAttestation:PCR2": ["2" * 96]}},
        {"StringEquals": {"kms:RecipientAttestation:PCR2": "21b9efbc18480766" + "0" * 80}},
        {"ForAnyValue:StringNotEquals": {"kms:RecipientAttestation:PCR0": PIN}},
        {
            "StringEquals": {
                "kms:RecipientAttestation:ImageSha384": PIN,
                "kms:RecipientAttestation:PCR0": "cd" * 48,
            }
        },
    ):
        for effect in ("Allow", "Deny"):
            changed = {"Effect": effect, "Condition": condition}
            yield json.dumps({"Statement": [_STATEMENT | changed]}).encode()
    root = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}
    yield json.dumps({"Statement": [{**root, "Action": "kms:*", "Resource": "*"}]}).encode()
    malformed = ({"Action": [1]}, {"Principal": 1}, {"Condition": 1}, {"Condition": {"Null": 1}})
    for fault in (*malformed, {"NotAction": "kms:*"}):
        yield json.dumps({"Statement": [_STATEMENT | fault]}).encode()
    yield from (b'{"Statement": []}', b'{"Statement": [1]}', b"{}", b"{} {}", b"\xff")


_ENCODINGS = ("auto", "raw", "hex", "base64")


def check_document_text(data: bytes) -> bool:
    """A document as text, in the encoding that the first octet names."""
    if not data:
        return False
    encoding, data = _ENCODINGS[data[0] % len(_ENCODINGS)], data[1:]
    field = "a.b" if encoding == "auto" and data[:1] == b"\0" else None
    data = data.removeprefix(b"\0") if field else data
    found = outcome(len(data), FormatError, decode, data, encoding, field)
    if refused(found):
        return False
    document, steps = found
    if encoding == "raw" or not steps:
        assert document == data
    elif encoding != "auto":
        written = document.hex().encode() if encoding == "hex" else base64.b64encode(document)
        assert decode(written, encoding).document == document
    elif any("JSON member" in step or "list" in step for step in steps):
        # Whatever names the document: without its name, it is this one or none.
        again = outcome(len(data), FormatError, decode, data)
        assert field or again == found
    return True


def document_texts() -> Iterator[bytes]:
    """One document in every form that people keep."""
    document = documents()[0]
    armoured = b"-----BEGIN DOCUMENT-----\n" + base64.encodebytes(document)
    texts = (document, document.hex().encode(), b"0x" + document.hex().encode(), armoured)
    for place in range(len(_ENCODINGS)):
        yield from (bytes([place]) + text for text in texts)
        yield bytes([place]) + base64.urlsafe_b64encode(document).rstrip(b"=")
        yield from (bytes([place]) + text for text in (b"a", b"AAAAA", b"{}", b""))
    start = document[:6]
    encoded = base64.b64encode(start).decode()
    wrapped = [
        gzip.compress(encoded.encode(), mtime=0),
        gzip.compress(encoded.encode(), mtime=0) + b"x",
        b"\x1f\x8bx",
        b"\xef\xbb\xbf" + encoded.encode(),
        encoded.encode("utf-16"),
        b"\xfe\xff\0",
        json.dumps(encoded).encode(),
        b'"\xc3\xa9"',
        json.dumps({"a": {"b": encoded}}).encode(),
        json.dumps({"a": {"b": list(start)}, "c": [1, "x", [2]]}).encode(),
        json.dumps({"a": {"b": {"type": "Buffer", "data": list(start)}}}).encode(),
        json.dumps({"a": {"b": encoded}, "d": [encoded]}).encode(),
        json.dumps({"a": {"b": 1}}).encode(),
        json.dumps(list(start)).encode(),
        b"[132, 256]",
        b'{"a": 1} x',
        b"{",
        f"data:;base64,{encoded}".encode(),
        b"data:,x",
        b'00000000: 8444 a101 3822                           .D..8"\n',
        b"00000000: 8444  .D\n00000003: a1  .\n",
        b"00000000  84 44 a1",
        b"PK\x03\x04",
        b"abc",
        b"\xff",
        b"hE SB",
        base64.b64encode(document).replace(b"+", b" "),
        b"\xa1\x6bAttestation\xa1\x68document\x59" + len(start).to_bytes(2, "big") + start,
        b"\xa1\x6bAttestation\xa1\x68document\x59\0\1",
    ]
    for text in wrapped:
        yield from (b"\0" + text, b"\0\0" + text)


def request_of_line(line: bytes) -> tuple[str | None, Request]:
    """Reads a line as the command line does; returns the form of its document and the request."""
    return batch._request(batch._entry(line), None, None, {})


def check_batch(data: bytes) -> bool:
    """One line of a batch file; the files that it may name are not there to be read."""
    with mock.patch.object(
        batch, "read_named_document", return_value=(Source("", None), b"content")
    ):
        found = outcome(len(data), (InputError, FormatError), request_of_line, data)
    if refused(found):
        assert found.code in ("input.batch", "document.encoding", "document.empty")
        return False
    entry = json.loads(data)
    _, found = found
    for name in ("nonce", "user_data", "public_key"):
        if name in entry:
            assert getattr(found, name) == bytes.fromhex(entry[name])
    assert found.max_age is None or found.max_age > timedelta(0)
    assert isinstance(found.document, bytes)
    return True


def lines() -> Iterator[bytes]:
    """Lines of every form."""
    document = documents()[0]
    values = {"nonce": "ab" * 16, "user_data": "00", "public_key": "01", "max_age": "1h30m"}
    yield json.dumps({"document": document.hex(), **values}).encode()
    yield json.dumps({"document": base64.b64encode(document).decode()}).encode()
    yield json.dumps({"document": {"file": "document.bin"}, "max_age": "2d"}).encode()
    yield from (b"{", b'{"document": "ab"}\n', b'{"document": "ab", "nonce": null}')
    yield from (b"\xff", b'{"document": "ab", "nonce": 1}', b'{"document": "ab", "nonce": "x"}')
    yield from (b'{"document": "ab", "max_age": "1y"}', b'{"document": {"file": "-"}}')
    yield from (
        b"[]",
        b"{}",
        b'{"document": 1}',
        b'{"document": "\\u00e9"}',
        b'{"odd": "x"}',
        b'{"id": []}',
    )


def check_nitro_cli(data: bytes) -> bool:
    """Output of nitro-cli: the CID of the only running enclave of a name, in one list."""
    found = outcome(len(data), EnclaveError, parse_cid, data, "hello")
    if refused(found):
        assert found.code in ("transport.nitro_cli", "transport.no_cid")
        return False
    enclaves = json.loads(data, object_pairs_hook=_with_different_keys)
    running = {"EnclaveName": "hello", "State": "RUNNING"}
    assert [e["EnclaveCID"] for e in enclaves if running.items() <= e.items()] == [found]
    assert 0 < found < 0xFFFFFFFF
    return True


def nitro_cli_outputs() -> Iterator[bytes]:
    """Lists of enclaves, and output of another form."""
    hello = {"EnclaveName": "hello", "EnclaveCID": 16, "State": "RUNNING"}
    for change in ({}, {"State": "TERMINATING"}, {"EnclaveName": "other", "EnclaveCID": 17}):
        yield json.dumps([hello, hello | change], indent=2).encode() + b"\n"
    for cid in (0, -1, 1 << 32, 1.0, True, None, "16"):
        yield json.dumps([hello | {"EnclaveCID": cid}]).encode()
    one = json.dumps(hello).encode()
    yield from (
        one,
        b"[" + one + b"]",
        b"[" + one + b"][]",
        b"[" + one[:-1] + b', "EnclaveCID": 3}]',
    )
    yield from (b"[" * 999, b"[1]", b"\xff", b"")


def check_measured(data: bytes) -> bool:
    """Input of a PCR: measured exactly as it is, or rejected."""
    text = data.decode("utf-8", "replace")
    once = hashlib.sha384(bytes(48) + data).digest()
    for compute in (pcr3_from_role_arn, pcr4_from_instance_id):
        found = outcome(len(data), InputError, compute, text)
        if not refused(found):
            assert found == once
            return True
    found = outcome(len(data), InputError, pcr8_from_certificate, data)
    if refused(found):
        return False
    der = data
    if b"-----BEGIN " in data:
        der = quietly(x509.load_pem_x509_certificate, data).public_bytes(Encoding.DER)
    assert found == hashlib.sha384(bytes(48) + hashlib.sha384(der).digest()).digest()
    return True


def measured() -> Iterator[bytes]:
    """Role ARNs, instance ids, certificates."""
    roles = ("role/Webserver", "role/a/path/Name", "assumed-role/Name/session")
    yield from (f"arn:aws:iam::123456789012:{role}".encode() for role in roles)
    yield b"arn:aws:sts::123456789012:assumed-role/Name/session"
    yield b"arn:aws-us-gov:iam::123456789012:instance-profile/Name"
    yield from (b"i-1234567890abcdef0", b"i-12345678", b"i-1234567890abcdef0-enc0123", b"i-1 ")
    for path in sorted((VECTORS / "conformance/roots").glob("*.pem")):
        yield path.read_bytes()
        yield x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    yield from (begin, begin + b"AAAAA\n" + end, begin + b"AA==AA==\n" + end, begin + b"*\n" + end)
    yield from (begin + b"AAAA\n\nAAAA\n" + end, begin + b"MAA=\n" + end, b"", b" ", b"\xff")


def check_endpoint(data: bytes) -> bool:
    """Endpoints: the text of a parsed endpoint parses to the same endpoint."""
    found = outcome(len(data), InputError, parse_endpoint, data.decode("utf-8", "replace"))
    if refused(found):
        return False
    assert parse_endpoint(str(found)) == found
    if isinstance(found, UnixEndpoint):
        assert "\0" not in found.path
    return True


def endpoints() -> Iterator[bytes]:
    """One of each form."""
    yield from (b"vsock:16:1300", b"vsock:any:1300", b"unix:/run/vm.sock:1300", b"unix:/run/s.sock")
    yield from (b"vsock:99999999999:1", b"vsock:1", b"unix:/\0", b"unix:relative", b"https://h:1")
    yield from (b"http://127.0.0.1:8080", b"http://[::1]:80/", b"http://host.example:65536")


TARGETS = {
    "json": Target(check_json, json_texts, ("_internal.strict_json",), "text.dict", 1024),
    "policy": Target(
        check_policy,
        policies,
        (
            "policy_files:parse_policy,_decode,_only_json_value,_pcr_lines,_elements,_form_of_all,"
            "_form_of,_only,_image_set,_enclave_policy,_check_comment,_recognised,_unwrapped,"
            "_index_set,_by_index,_statement_set",
        ),
        "text.dict",
    ),
    "policy_of_one": Target(
        check_policy_of_one,
        policies,
        ("policy_files:_selected,_register_set,_toml_table,_tables,_release_set",),
        "text.dict",
    ),
    "nitrotpm_policy": Target(
        check_nitrotpm_policy,
        policies,
        ("policy_files:parse_nitrotpm_policy,_instance_set,_reference",),
        "text.dict",
    ),
    "key_policy": Target(
        check_key_policy,
        key_policies,
        ("kms.lint", "kms.model", "kms.parse", "kms.findings"),
        "text.dict",
    ),
    "document_text": Target(
        check_document_text, document_texts, ("document_text",), "text.dict", 16384
    ),
    "batch": Target(
        check_batch, lines, ("cli.batch:_entry,_request,_value,_document",), "text.dict", 16384
    ),
    "nitro_cli": Target(
        check_nitro_cli,
        nitro_cli_outputs,
        ("cli.nitro_cli:parse_cid,_is_running,_cid",),
        "text.dict",
    ),
    "measured": Target(
        check_measured,
        measured,
        (
            "measurements.pcr:pcr3_from_role_arn,pcr4_from_instance_id,pcr8_from_certificate,"
            "first_pem_certificate,_why_not_a_role_arn,_require_exact_text",
        ),
        "text.dict",
        1200,
    ),
    "endpoint": Target(
        check_endpoint,
        endpoints,
        ("transport.connection:parse_endpoint,_number,VsockEndpoint,UnixEndpoint,HttpEndpoint",),
        "text.dict",
        300,
    ),
}
