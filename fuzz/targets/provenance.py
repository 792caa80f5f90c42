"""Signed statements of measurements: the statement itself, and the envelope around it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from nitro_attest.errors import InputError
from nitro_attest.provenance import (
    PREDICATE_TYPE,
    SignerKey,
    Statement,
    parse_unverified_statement,
    read_provenance,
)
from support.statements import (
    KEY,
    OTHER_KEY,
    PCRS,
    compact,
    envelope,
    pem_of,
    predicate,
    signed,
    statement,
)
from targets.base import Target, outcome, refused

OTHER_TYPE = "https://other.example/measurements/v1"
NAMED = {f"PCR{index}": value for index, value in PCRS.items()}
SIGNER = SignerKey(pem_of(KEY))


def check_statement(data: bytes) -> bool:
    """A statement of either type: an accepted one has measurements, and no other content."""
    accepted = [check_type(data, kind) for kind in (PREDICATE_TYPE, OTHER_TYPE)]
    assert accepted != [True, True]
    return any(accepted)


def check_type(data: bytes, kind: str) -> bool:
    """A statement of one type."""
    found = outcome(len(data), InputError, parse_unverified_statement, data, predicate_type=kind)
    if refused(found):
        return False
    assert found.pcrs.keys() - {8} == {0, 1, 2}
    assert all(len(value) == 48 and any(value) for value in found.pcrs.values())
    assert len(bytes.fromhex(found.subject.sha256)) == 32
    assert found.predicate_type == kind
    json.dumps(found.to_dict(), allow_nan=False)
    if kind == PREDICATE_TYPE:
        received = json.loads(data)
        if not received["predicate"].get("image", True):
            del received["predicate"]["image"]  # an empty one states nothing
        assert written(found) == received
    return True


def written(found: Statement) -> dict[str, Any]:
    """The JSON of a statement of our type, from what was read."""
    digest = {"sha256": found.subject.sha256, "sha384": found.subject.sha384}
    image = {"name": found.image_name, "version": found.image_version}
    whole = statement(
        digest=present(digest),
        of=predicate(
            pcrs={str(index): value.hex() for index, value in found.pcrs.items()},
            signingCertificate=present({"sha256": found.signing_certificate_sha256}) or None,
            builder=found.builder,
            image=present(image) or None,
        ),
    )
    whole["subject"][0]["name"] = found.subject.name
    return whole


def present(members: dict[str, str | None]) -> dict[str, str]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def statements() -> Iterator[bytes]:
    """A whole statement of each type, and one for each fault."""
    whole = statement()
    yield from (compact(whole).encode(), b"{", b"{} {}", b"\xff", b'{"a":1,"A":1}', b"[]")
    for name in whole:
        yield from (compact(statement(**{name: value})).encode() for value in (None, 1, [1], {}))
    for name in predicate():
        for value in (None, 1, {}, {"extra": 1}, {"sha256": "ab"}, {"name": ""}):
            yield compact(statement(of=predicate(**{name: value}))).encode()
    least = predicate(pcrs=PCRS, signingCertificate=None, builder=None, image=None)
    yield compact(statement(of=least)).encode()
    yield compact(statement(of=predicate(pcrs=PCRS))).encode()
    yield compact(statement(of=predicate(pcrs=PCRS | {"0": "00" * 48, "8": "a8" * 48}))).encode()
    yield compact(statement()).replace('"https://ci.example/build/42"', "1e999").encode()
    yield compact(statement(digest={"sha256": "ab" * 32, "sha384": "cd" * 48})).encode()
    for other in (
        *(NAMED, NAMED | {"HashAlgorithm": "SHA384"}, {"registers": list(NAMED.values())}),
        *({"registers": []}, {"PCR0": "a0" * 48}),
    ):
        yield compact(statement(of=other, predicateType=OTHER_TYPE)).encode()


def check_envelope(data: bytes) -> bool:
    """An envelope: the accepted payload is one that the key signed."""
    found = outcome(len(data), InputError, read_provenance, data, SIGNER)
    if refused(found):
        return False
    payload = base64.b64decode(json.loads(data)["payload"], validate=True)
    assert payload == compact(statement()).encode()
    assert found.signer == SIGNER.signer
    return True


def envelopes() -> Iterator[bytes]:
    """Envelopes of the key, of others and of none, and what is none."""
    yield from (signed(keys=keys).encode() for keys in ([KEY], [OTHER_KEY, KEY], [OTHER_KEY]))
    whole = envelope()
    for name in whole:
        yield from (compact(whole | {name: value}).encode() for value in (1, "", "e30", [], [1]))
    yield compact(whole | {"signatures": [{"sig": "e30=", "keyid": "1"}]}).encode()
    yield compact({name: whole[name] for name in ("payload", "payloadType")}).encode()
    yield from (b"{}", b'{"mediaType": "x"}')


TARGETS = {
    "statement": Target(
        check_statement,
        statements,
        ("provenance.statement", "provenance.fields"),
        "text.dict",
    ),
    "envelope": Target(
        check_envelope,
        envelopes,
        ("provenance.key:verify_envelope,_signed,_open,_base64",),
        "text.dict",
    ),
}
