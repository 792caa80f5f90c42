"""Documents that AWS hardware signed, as they are and with one thing changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from nitro_attest import UnverifiedDocument, parse_unverified
from nitro_attest.testing.draft import P384_ORDER
from vectors.case import MILLISECOND, Case, Policy

REAL: Final = Path(__file__).resolve().parents[2] / "fixtures" / "real"
SECOND: Final = timedelta(seconds=1)


def cases() -> Iterator[Case]:
    """All cases about genuine documents."""
    for path in sorted(REAL.glob("*.bin")):
        document = path.read_bytes()
        parsed = parse_unverified(document)
        debug = not any(any(parsed.pcrs[index]) for index in range(3))
        form = "counted" if parsed.payload[0] == 0xA9 else "indefinite"
        base = Case(
            id=f"genuine.{path.stem[:8]}",
            group="genuine",
            rules=("P-1", "C-16", "X-8"),
            title=f"A document of {path.stem[:4]} in the {form} form, at its own time.",
            document=document,
            file=f"../../real/{path.name}",
            root="aws",
            time=parsed.timestamp,
            policy=Policy(allow_debug=debug),
            warnings=("policy.none", *(["policy.debug"] if debug else []), "freshness.unbound"),
            genuine=True,
        )
        yield base
        yield from _judged_otherwise(base, parsed, debug=debug)
        yield from _changed(replace(base, file=None, genuine=False), parsed)


def _judged_otherwise(base: Case, parsed: UnverifiedDocument, *, debug: bool) -> Iterator[Case]:
    leaf = x509.load_der_x509_certificate(parsed.certificate)
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    archived = (*base.warnings, "time.document")
    about = {"rules": ("X-20",), "title": "In archive mode."}
    yield base.but("document-time", time="document", warnings=archived, **about)
    for suffix, title, time, code in (
        ("last-instant", "In the last instant of the signing certificate.", end, None),
        ("one-ms-late", "One millisecond after it.", end + MILLISECOND, "cert.expired"),
        ("one-s-late", "One second after it.", end + SECOND, "cert.expired"),
        ("one-s-early", "One second before it starts.", start - SECOND, "cert.not_yet_valid"),
    ):
        skew = code == "cert.not_yet_valid"
        about = {"rules": ("X-10",), "title": title}
        yield base.but(suffix, time=time, code=code, needs_skew=skew, **about)
    for root in ("aws-us-gov", "fake"):
        about = {"rules": ("X-4",), "title": f"Where {root} is the trusted root."}
        yield base.but(f"root-{root}", root=root, code="chain.untrusted_root", **about)
    if debug:
        about = {"rules": ("M-2",), "title": "Debug mode, which nobody allowed."}
        yield base.but("debug", policy=Policy(), code="policy.debug", **about)
    asked = replace(base.policy, pcrs=({4: parsed.pcrs[4]},))
    weak = (*base.warnings[1:-1], "policy.weak", base.warnings[-1])
    about = {"rules": ("policy",), "title": "With the parent instance that is expected."}
    yield base.but("pcr4", policy=asked, warnings=weak, **about)
    asked = replace(base.policy, pcrs=({4: b"\xaa" * 48},))
    about = {"rules": ("policy",), "title": "With another parent instance than expected."}
    yield base.but("pcr4-other", policy=asked, code="policy.pcr_mismatch", **about)
    asked = replace(base.policy, nonce=b"32 bytes that the verifier chose")
    about = {"rules": ("policy",), "title": "Replayed to a verifier that expects its nonce."}
    yield base.but("nonce", policy=asked, code="policy.nonce", **about)
    about = {"rules": ("T-1",), "title": "Where an instance's document is expected."}
    yield base.but("instance", policy=Policy(kind="nitrotpm"), code="payload.kind", **about)


def _changed(base: Case, parsed: UnverifiedDocument) -> Iterator[Case]:
    document = base.document
    about = {"rules": ("C-4",), "title": "With the tag that no NSM writes.", "genuine": True}
    yield base.but("tagged", document=b"\xd2" + document, **about)
    s = P384_ORDER - int.from_bytes(document[-48:], "big")
    about = {"rules": ("C-15",), "title": "With the other form of its signature.", "genuine": True}
    yield base.but("twin", document=document[:-48] + s.to_bytes(48, "big"), **about)
    about = {"rules": ("C-12",), "title": "With a byte behind it."}
    yield base.but("trailing", document=document + b"\x00", code="cbor.trailing", **about)
    about = {"rules": ("C-13",), "title": "Without its last byte."}
    yield base.but("cut", document=document[:-1], code="cbor.truncated", **about)
    in_time = document.index(b"timestamp\x1b") + 17
    in_pcr4 = document.index(parsed.pcrs[4])
    for name, rule, place, code in (
        ("timestamp", "C-16", in_time, "signature.invalid"),
        ("pcr4", "C-16", in_pcr4, "signature.invalid"),
        ("signature", "C-16", len(document) - 96 + 47, "signature.invalid"),
        ("leaf", "X-8", _last_of(document, parsed.certificate), "chain.signature"),
        ("instance-ca", "X-8", _last_of(document, parsed.cabundle[3]), "chain.signature"),
        ("regional-ca", "X-8", _last_of(document, parsed.cabundle[1]), "chain.signature"),
        ("root", "X-4", _last_of(document, parsed.cabundle[0]), "chain.untrusted_root"),
    ):
        flipped = bytearray(document)
        flipped[place] ^= 1
        about = {"rules": (rule,), "title": f"With one bit of its {name} flipped."}
        yield base.but(f"flipped-{name}", document=bytes(flipped), code=code, **about)


def _last_of(document: bytes, certificate: bytes) -> int:
    """Returns the position of the last octet of a certificate, which is in its signature."""
    return document.index(certificate) + len(certificate) - 1
