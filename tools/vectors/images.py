"""Enclave images and what they measure (F-*, S-*, M-4 to M-6).

The expected values are hashed here from the sections of each image, and not by the code that
measures images.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from nitro_attest.testing.eif import (
    CMDLINE,
    KERNEL,
    METADATA,
    RAMDISK,
    SIGNATURE,
    assemble,
    self_signed_certificate,
    signature_section,
    with_crc,
)
from vectors.case import MILLISECOND, measurements_json, outcome, rfc3339
from vectors.expectations import error_class, expectation
from vectors.explanations import why
from vectors.links import links

Sections = Sequence[tuple[int, bytes]]

WORKED: Final = Path(__file__).resolve().parents[2] / "fixtures" / "vectors" / "eif"
ABOUT: Final = "Enclave images (EIF): their layout, their signature, and PCR0, PCR1, PCR2 and PCR8."

HEADER_BYTES: Final = 548
VERSION_AT, FLAGS_AT, COUNT_AT, OFFSETS_AT, SIZES_AT, CRC_AT = 4, 6, 0x1A, 0x1C, 0x11C, 0x220
SIGNATURE_LIMIT: Final = 32768

IMAGE: Final[Sections] = (
    (KERNEL, b"kernel"),
    (CMDLINE, b"console=ttyS0"),
    (METADATA, b'{"ImageName":"app"}'),
    (RAMDISK, b"init"),
    (RAMDISK, b"application"),
)
WHOLE: Final = assemble(IMAGE)
FIRST_HEAD: Final = HEADER_BYTES
LAST_HEAD: Final = len(WHOLE) - len(b"application") - 12

KEYS: Final = {
    name: ec.derive_private_key(
        int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"), curve
    )
    for name, curve in (
        ("p256", ec.SECP256R1()),
        ("p384", ec.SECP384R1()),
        ("p521", ec.SECP521R1()),
        ("k256", ec.SECP256K1()),
        ("other", ec.SECP384R1()),
    )
}
CERTIFICATES: Final = {name: self_signed_certificate(key) for name, key in KEYS.items()}
KEY, CERTIFICATE = KEYS["p384"], CERTIFICATES["p384"]
VALID_FROM: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
VALID_TO: Final = datetime(2027, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class ImageCase:
    """One image, and what must come out.

    Attributes:
        id: Unique in the suite, and stable.
        title: What is broken, or unusual.
        image: The content of the file.
        file: Where it is stored, relative to the case files; None to write it into the case.
        code: The code of the refusal; None where the image must be measured.
        pcrs: What it measures.
        warnings: Codes of the warnings.
        ignore_crc: A wrong CRC-32 is to be reported only.
        time: When the signing certificate's validity is judged; None: it is not.
    """

    id: str
    title: str
    image: bytes = field(repr=False)
    file: str | None = None
    code: str | None = None
    pcrs: dict[int, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ignore_crc: bool = False
    time: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The case as the file holds it."""
        rule = self.id.partition(".")[0]
        wanted = {"certificate-time": self.time is not None, "ignore-crc": self.ignore_crc}
        stored = (
            {"base64": base64.b64encode(self.image).decode()}
            if self.file is None
            else {"file": self.file}
        )
        measured = [] if self.code else measurements_json((self.pcrs,))
        expected = expectation(self.id, rule, accepted=self.code is None)
        return {
            "id": self.id,
            "class": error_class(rule, "image"),
            "rules": [rule],
            "title": self.title,
            "why": why(rule, accepted=self.code is None),
            "importance": expected.importance,
            "flags": list(expected.flags),
            "links": links(self.id, rule),
            "features": [feature for feature, needed in wanted.items() if needed],
            "ignore_crc": self.ignore_crc,
            "time": None if self.time is None else rfc3339(self.time),
            "expected": outcome(expected, self.code, self.warnings) | {"measurements": measured},
            "judges": [],
            "image": stored | {"sha256": hashlib.sha256(self.image).hexdigest()},
        }


def registers(sections: Sections, certificate: bytes | None = None) -> dict[int, bytes]:
    """PCR0, PCR1, PCR2, and PCR8 of a certificate in PEM, by the published formula."""
    whole, boot, later = [], [], []
    ramdisk_seen = False
    for kind, data in sections:
        if kind in (KERNEL, CMDLINE, RAMDISK):
            whole.append(data)
            (later if kind == RAMDISK and ramdisk_seen else boot).append(data)
            ramdisk_seen |= kind == RAMDISK
    pcrs = {0: _pcr(*whole), 1: _pcr(*boot), 2: _pcr(*later)}
    if certificate is not None:
        pcrs[8] = _pcr(ssl.PEM_cert_to_DER_cert(certificate.decode()))
    return pcrs


def _pcr(*data: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(data)).digest()).digest()


def cases() -> Iterator[ImageCase]:
    """All of them, by rule."""
    for table in (_worked, _header, _walked, _tables, _kinds, _crc, _order, _signed, _certificates):
        yield from table()


def _measured(
    name: str,
    title: str,
    sections: Sections,
    *warnings: str,
    image: bytes | None = None,
    certificate: bytes | None = None,
    **more: Any,
) -> ImageCase:
    return ImageCase(
        id=name,
        title=title,
        image=assemble(sections) if image is None else image,
        pcrs=registers(sections, certificate),
        warnings=warnings,
        **more,
    )


def _refused(name: str, title: str, image: bytes, code: str) -> ImageCase:
    return ImageCase(id=name, title=title, image=image, code=f"eif.{code}")


def patched(form: str, offset: int, *values: int, image: bytes = WHOLE) -> bytes:
    """The image with numbers overwritten and its CRC made right again."""
    copy = bytearray(image)
    struct.pack_into(form, copy, offset, *values)
    return with_crc(bytes(copy))


def _worked() -> Iterator[ImageCase]:
    sections = [
        (KERNEL, b"KERNEL"),
        (CMDLINE, b"console=ttyS0"),
        (RAMDISK, b"RAMDISK-0"),
        (RAMDISK, b"RAMDISK-1"),
    ]
    for name, title, count in (
        ("synthetic", "An image of two ramdisks.", 4),
        ("synthetic-one-ramdisk", "An image of one ramdisk: PCR1 is PCR0, PCR2 is of nothing.", 3),
    ):
        path = WORKED / f"{name}.eif"
        yield _measured(
            f"F-8.{name}",
            title,
            sections[:count],
            image=path.read_bytes(),
            file=f"../eif/{path.name}",
        )


def _header() -> Iterator[ImageCase]:
    yield _measured("F-1.version-4", "What builders write today.", IMAGE)
    plain = [section for section in IMAGE if section[0] != METADATA]
    for version in (2, 3):
        image = assemble(plain, version=version)
        title = f"Version {version}, which has no metadata."
        yield _measured(f"F-1.version-{version}", title, plain, image=image)
    for version in (0, 1, 5, 0x0400, 0xFFFF):
        image = patched(">H", VERSION_AT, version)
        yield _refused(f"F-1.version-{version}", f"Version {version}.", image, "version")
    yield _measured("F-1.aarch64", "For aarch64.", IMAGE, image=assemble(IMAGE, flags=1))
    yield _refused(
        "F-1.unknown-flag",
        "A flag in the header that nobody knows.",
        assemble(IMAGE, flags=2),
        "flags",
    )
    for name, title, start in (
        ("no-bytes", "A file of no bytes.", b""),
        ("cut-magic", "Half of the first word.", b".ei"),
        ("elf", "A program.", b"\x7fELF" + WHOLE[4:]),
        ("upper-case", "The first word in upper case.", b".EIF" + WHOLE[4:]),
    ):
        yield _refused(f"F-1.{name}", title, start, "magic")
    for count in (0, 1, 33, 0xFFFF):
        image = patched(">H", COUNT_AT, count)
        yield _refused(f"F-1.{count}-sections", f"{count} sections announced.", image, "sections")
    most = [*IMAGE, *[(RAMDISK, b"%d" % number) for number in range(27)]]
    yield _measured("F-1.32-sections", "As many sections as the header has room for.", most)


def _walked() -> Iterator[ImageCase]:
    yield _measured("F-2.empty-ramdisk", "A ramdisk of no bytes.", [*IMAGE, (RAMDISK, b"")])
    for name, title, image in (
        ("header-only", "The header alone.", WHOLE[:HEADER_BYTES]),
        ("cut-header", "Half of the header.", WHOLE[: HEADER_BYTES - 1]),
        ("cut-head", "Cut inside the head of the last section.", WHOLE[: LAST_HEAD + 11]),
        ("cut-before-head", "Cut before the last section.", WHOLE[:LAST_HEAD]),
        ("cut-data", "Without its last byte.", WHOLE[:-1]),
        ("more-announced", "One section more announced.", patched(">H", COUNT_AT, 6)),
        *(
            (
                f"size-{name}",
                f"A section that claims {size} bytes.",
                patched(">Q", LAST_HEAD + 4, size),
            )
            for name, size in (
                *(("one-more", 12), ("2-to-32", 1 << 32), ("2-to-63", 1 << 63)),
                ("wrapping", (1 << 64) - 12),
            )
        ),
    ):
        whole = with_crc(image) if len(image) >= HEADER_BYTES else image
        yield _refused(f"F-2.{name}", title, whole, "truncated")
    for name, title, image in (
        ("byte-behind", "A byte behind the last section.", WHOLE + b"\0"),
        ("11-bytes-behind", "Behind it, one byte less than a head.", WHOLE + bytes(11)),
        ("section-behind", "A section that was not announced.", WHOLE + bytes(12)),
        ("fewer-announced", "One section less announced.", patched(">H", COUNT_AT, 4)),
        ("size-one-less", "A section that claims a byte less.", patched(">Q", LAST_HEAD + 4, 10)),
    ):
        yield _refused(f"F-2.{name}", title, with_crc(image), "trailing")


def _tables() -> Iterator[ImageCase]:
    for table, at in (("offset", OFFSETS_AT), ("size", SIZES_AT)):
        for index, where in ((0, "first"), (4, "last"), (5, "first unused"), (31, "very last")):
            place = at + 8 * index
            (true,) = struct.unpack_from(">Q", WHOLE, place)
            yield _refused(
                f"F-3.{table}-{index}",
                f"The table's {where} {table} is one too large.",
                patched(">Q", place, true + 1),
                "table",
            )
    signature = _signature(IMAGE)
    image = assemble([*IMAGE, (SIGNATURE, signature)])
    yield _measured(
        "F-3.stale-signature-size",
        "The size of a former signature, as a tool leaves it that signs again.",
        IMAGE,
        "eif.table",
        image=patched(">Q", SIZES_AT + 40, len(signature) - 1, image=image),
        certificate=CERTIFICATE,
    )
    yield _refused(
        "F-3.signature-offset",
        "The offset of the signature is one too large.",
        patched(">Q", OFFSETS_AT + 40, len(WHOLE) + 1, image=image),
        "table",
    )


def _kinds() -> Iterator[ImageCase]:
    kernel, cmdline, metadata, *ramdisks = IMAGE
    signature = (SIGNATURE, _signature(IMAGE))
    for name, title, sections, *warnings in (
        ("cmdline-first", "The command line before the kernel.", [cmdline, kernel, *IMAGE[2:]]),
        ("metadata-first", "The metadata before all.", [metadata, kernel, cmdline, *ramdisks]),
        ("metadata-last", "The metadata behind all.", [kernel, cmdline, *ramdisks, metadata]),
        (
            "cmdline-last",
            "The command line behind all.",
            [kernel, metadata, *ramdisks, cmdline],
        ),
        ("no-ramdisk", "No ramdisk.", IMAGE[:3], "eif.no_ramdisk"),
        ("no-metadata", "No metadata.", [kernel, cmdline, *ramdisks], "eif.no_metadata"),
    ):
        yield _measured(f"F-4.{name}", title, sections, *warnings)
    yield _measured(
        "F-4.signature-first",
        "The signature before all.",
        IMAGE,
        image=assemble([signature, *IMAGE]),
        certificate=CERTIFICATE,
    )
    yield _measured(
        "F-4.section-flags",
        "Flags of a section that nobody knows.",
        IMAGE,
        "eif.section_flags",
        image=patched(">H", FIRST_HEAD + 2, 1),
    )
    for name, title, sections in (
        ("two-kernels", "Two kernels.", [*IMAGE, kernel]),
        ("two-cmdlines", "Two command lines.", [*IMAGE, cmdline]),
        ("two-metadata", "Two metadata sections.", [*IMAGE, metadata]),
        ("two-signatures", "Two signature sections.", [*IMAGE, signature, signature]),
        ("ramdisk-first", "A ramdisk before the kernel.", [ramdisks[0], *IMAGE]),
        ("no-kernel", "No kernel.", [cmdline, metadata]),
        ("no-cmdline", "No command line.", [kernel, metadata, *ramdisks]),
        ("type-0", "A section of type 0.", [*IMAGE, (0, b"")]),
        ("type-6", "A section of type 6.", [*IMAGE, (6, b"")]),
        ("type-65535", "A section of type 65535.", [*IMAGE, (0xFFFF, b"")]),
    ):
        yield _refused(f"F-4.{name}", title, assemble(sections), "section_type")
    for version, section, what in (
        (2, signature, "signature"),
        (2, metadata, "metadata"),
        (3, metadata, "metadata"),
    ):
        image = assemble([kernel, cmdline, section, *ramdisks], version=version)
        title = f"A {what} section in version {version}, which has none."
        yield _refused(f"F-4.{what}-in-version-{version}", title, image, "section_type")


def _crc() -> Iterator[ImageCase]:
    def flipped(place: int) -> bytes:
        image = bytearray(WHOLE)
        image[place] ^= 1
        return bytes(image)

    for name, title, place in (
        ("header", "A bit of the default memory flipped.", 8),
        ("stored", "A bit of the stored CRC-32 flipped.", CRC_AT),
        ("head", "A bit of a section's flags flipped.", FIRST_HEAD + 3),
        ("data", "A bit of the last section flipped.", -1),
    ):
        yield _refused(f"F-5.{name}", title, flipped(place), "crc")
    yield _measured(
        "F-5.ignored",
        "A wrong CRC-32 that the caller asked to ignore.",
        IMAGE,
        "eif.crc",
        image=flipped(CRC_AT),
        ignore_crc=True,
    )
    yield _measured("F-5.right", "A right CRC-32.", IMAGE, ignore_crc=True)


def _order() -> Iterator[ImageCase]:
    one = [*IMAGE[:3], (RAMDISK, b"init")]
    yield _measured("M-4.one-ramdisk", "One ramdisk: PCR2 is a constant, PCR1 is PCR0.", one)
    split = [*IMAGE[:3], (RAMDISK, b"initapp"), (RAMDISK, b"lication")]
    title = "The same bytes in other ramdisks: PCR0 is the same, PCR1 and PCR2 are not."
    yield _measured("M-5.split", title, split)
    shifted = [(KERNEL, b"kernelconsole=tty"), (CMDLINE, b"S0"), *IMAGE[2:]]
    title = "The end of the kernel moved to the command line: no PCR shows it."
    yield _measured("M-5.shifted", title, shifted)
    other = [*IMAGE[:2], (METADATA, b'{"ImageName":"other"}'), *IMAGE[3:]]
    yield _measured("M-6.metadata", "Other metadata, which are not measured.", other)
    image = patched(">QQ", 8, 1 << 40, 64)
    title = "Other defaults in the header, which are not measured."
    yield _measured("M-6.header", title, IMAGE, image=image)


def _signature(sections: Sections, name: str = "p384", pem: bytes | None = None) -> bytes:
    certificate = CERTIFICATES[name] if pem is None else pem
    return signature_section(registers(sections)[0], KEYS[name], certificate)


def _with(section: bytes) -> bytes:
    return assemble([*IMAGE, (SIGNATURE, section)])


GOOD: Final = _signature(IMAGE)
ENTRY: Final[dict[str, Any]] = cbor2.loads(GOOD)[0]
COSE: Final[list[Any]] = cbor2.loads(bytes(ENTRY["signature"]))
HEADERS, PAYLOAD, SIGNED = COSE[0], COSE[2], COSE[3]


def _entry(cose: bytes, pem: bytes = CERTIFICATE) -> dict[str, Any]:
    return {"signing_certificate": list(pem), "signature": list(cose)}


def _cose(*parts: Any) -> bytes:
    return _with(cbor2.dumps([_entry(cbor2.dumps(list(parts)))]))


def _signed() -> Iterator[ImageCase]:
    for name in ("p256", "p384", "p521"):
        yield _measured(
            f"S-2.{name}",
            f"Signed with a key on {name.upper()[0]}-{name[1:]}.",
            IMAGE,
            image=_with(_signature(IMAGE, name)),
            certificate=CERTIFICATES[name],
        )
    value = list(registers(IMAGE)[0])
    yield _refused(
        "S-1.other-image",
        "The signature of another image.",
        _with(_signature(IMAGE[:3])),
        "signature_pcr0",
    )
    for name, title, payload in (
        ("register-1", "Signed as register 1.", {"register_index": 1, "register_value": value}),
        (
            "bytes",
            "The value as a byte string.",
            {"register_index": 0, "register_value": bytes(value)},
        ),
        ("order", "Value before index.", {"register_value": value, "register_index": 0}),
        (
            "more",
            "A member more.",
            {"register_index": 0, "register_value": value, "register_name": 0},
        ),
    ):
        image = _cose(HEADERS, {}, cbor2.dumps(payload), SIGNED)
        yield _refused(f"S-1.{name}", title, image, "signature_pcr0")
    stranger = signature_section(registers(IMAGE)[0], KEYS["other"], CERTIFICATE)
    curve = CERTIFICATES["p256"]
    whole = cbor2.dumps(COSE)
    for name, title, image in (
        ("other-key", "Signed by another key than the certificate's.", _with(stranger)),
        ("zeros", "r and s of zero.", _cose(HEADERS, {}, PAYLOAD, bytes(96))),
        ("cut", "A signature without its last byte.", _cose(HEADERS, {}, PAYLOAD, SIGNED[:-1])),
        ("no-headers", "No algorithm named.", _cose(b"", {}, PAYLOAD, SIGNED)),
        ("algorithm", "Another algorithm.", _cose(b"\xa1\x01\x26", {}, PAYLOAD, SIGNED)),
        ("unprotected", "An unsigned header.", _cose(HEADERS, {1: -35}, PAYLOAD, SIGNED)),
        ("three-parts", "No signature at all.", _cose(HEADERS, {}, PAYLOAD)),
        ("tagged", "A tag on the COSE_Sign1.", _with(cbor2.dumps([_entry(b"\xd2" + whole)]))),
        ("byte-behind", "A byte behind it.", _with(cbor2.dumps([_entry(whole + b"\0")]))),
        ("section-byte-behind", "A byte behind the array.", _with(GOOD + b"\0")),
        ("no-entry", "An array of no signature.", _with(b"\x80")),
        ("no-cbor", "No CBOR.", _with(b"\xff")),
        ("no-section-bytes", "A section of no bytes.", _with(b"")),
        ("other-curve", "A certificate on P-256.", _with(cbor2.dumps([_entry(whole, curve)]))),
        ("k256", "A key on secp256k1.", _with(cbor2.dumps([_entry(whole, CERTIFICATES["k256"])]))),
        ("no-certificate", "No certificate.", _with(cbor2.dumps([_entry(whole, b"")]))),
        (
            "256",
            "An array with a number above 255.",
            _with(cbor2.dumps([ENTRY | {"signature": [256]}])),
        ),
        ("member", "A member more.", _with(cbor2.dumps([ENTRY | {"more": 0}]))),
    ):
        yield _refused(f"S-2.{name}", title, image, "signature")
    first_other = cbor2.dumps([_entry(b""), ENTRY])
    title = "Two signatures, of which the first does not hold."
    yield _refused("S-2.first-of-two", title, _with(first_other), "signature")


def _certificates() -> Iterator[ImageCase]:
    image = _with(GOOD)
    for name, title, time, *warnings in (
        ("first-instant", "In the first instant of the certificate.", VALID_FROM),
        ("last-instant", "In its last instant.", VALID_TO),
        ("early", "Before it.", VALID_FROM - MILLISECOND, "eif.cert_expired"),
        (
            "late",
            "After it: attestation does not look.",
            VALID_TO + MILLISECOND,
            "eif.cert_expired",
        ),
    ):
        about = {"image": image, "certificate": CERTIFICATE, "time": time}
        yield _measured(f"S-3.{name}", title, IMAGE, *warnings, **about)
    chain = CERTIFICATE + CERTIFICATES["other"]
    yield _measured(
        "S-4.chain",
        "Two certificates: the first one is measured, no chain is verified.",
        IMAGE,
        image=_with(_signature(IMAGE, pem=chain)),
        certificate=CERTIFICATE,
    )
    strings = {name: bytes(value) for name, value in ENTRY.items()}
    yield _measured(
        "S-5.byte-strings",
        "Byte strings in place of arrays of integers.",
        IMAGE,
        image=_with(cbor2.dumps([strings])),
        certificate=CERTIFICATE,
    )
    yield _measured(
        "S-4.second-signature",
        "A second signature, which nobody looks at.",
        IMAGE,
        "eif.signature_entries",
        image=_with(cbor2.dumps([ENTRY, _entry(b"")])),
        certificate=CERTIFICATE,
    )
    yield _measured(
        "F-6.limit",
        "A signature section of just the limit.",
        IMAGE,
        "eif.signature_entries",
        image=_with(_padded(SIGNATURE_LIMIT)),
        certificate=CERTIFICATE,
    )
    over = _with(_padded(SIGNATURE_LIMIT + 1))
    yield _refused("F-6.over", "One byte more than that.", over, "signature_size")


def _padded(size: int) -> bytes:
    """A good signature section with a second entry that fills it up."""
    room = size - len(cbor2.dumps([ENTRY, _entry(b"", bytes(1 << 14))])) + (1 << 14)
    return cbor2.dumps([ENTRY, _entry(b"", bytes(room))])
