"""Images: enclave image files, their parts, unified kernel images, Secure Boot variables."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Iterator

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hostile_files import WatchedFile
from nitro_attest.errors import ImageError, InputError
from nitro_attest.measurements.eif.image import measure
from nitro_attest.measurements.eif.layout import CRC_OFFSET, HEADER, SectionKind
from nitro_attest.measurements.eif.signature import check_signature_section
from nitro_attest.measurements.image_file import ImageFile
from nitro_attest.measurements.uki.boot_events import SecureBootVariables, boot_pcr7
from nitro_attest.measurements.uki.image import uki_measurements
from nitro_attest.measurements.uki.pe import authenticode_sha384, read_pe
from nitro_attest.testing.eif import (
    assemble,
    self_signed_certificate,
    signature_section,
    with_crc,
)
from nitro_attest.testing.uki import build_pe, build_uki, signature_list
from targets.base import VECTORS, Target, outcome, refused, rejection

PLAIN = [
    (SectionKind.KERNEL, b"kernel"),
    (SectionKind.CMDLINE, b"quiet"),
    (SectionKind.METADATA, b'{"ImageName": "x"}'),
    (SectionKind.RAMDISK, b"ramdisk-1"),
    (SectionKind.RAMDISK, b"ramdisk-2"),
]
PCR0 = measure(io.BytesIO(assemble(PLAIN))).pcr0
SIGNERS = [
    ec.derive_private_key(0x1234567, curve)
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
]


def _measured(*parts: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).digest()


def check_eif(data: bytes) -> bool:
    """An enclave image: read once, its sections are the file, its PCRs are those of the formula."""
    file = WatchedFile(data)
    image = outcome(len(data), ImageError, measure, file, ignore_crc=True)
    assert file.bytes_read <= len(data)
    if refused(image):
        return False
    end = HEADER.size
    for section in image.sections:
        assert section.offset == end
        assert data[section.offset : section.data_offset] == section.head
        end = section.end
    assert end == len(data) == file.bytes_read
    table = HEADER.unpack_from(data)[7:]
    assert HEADER.unpack_from(data)[2] in (0, 1)  # F-1
    places = [section.offset for section in image.sections]
    assert list(table[:32]) == places + [0] * (32 - len(places))
    measured = [
        s for s in image.sections if s.kind not in (SectionKind.METADATA, SectionKind.SIGNATURE)
    ]
    ramdisks = [s for s in measured if s.kind is SectionKind.RAMDISK]
    content = {s: data[s.data_offset : s.end] for s in measured}
    assert image.pcr0 == _measured(*content.values())
    assert image.pcr1 == _measured(*(content[s] for s in measured if s not in ramdisks[1:]))
    assert image.pcr2 == _measured(*(content[s] for s in ramdisks[1:]))
    json.dumps(image.to_dict(), allow_nan=False)
    # F-5: the same image or none, by the CRC alone.
    whole = data if image.crc32_stored == image.crc32_computed else with_crc(data)
    assert measure(io.BytesIO(whole)).measurements() == image.measurements()
    if whole != data:
        found = outcome(len(data), ImageError, measure, io.BytesIO(data))
        assert rejection(found) == ("eif.crc", CRC_OFFSET)
    return True


@functools.cache
def images() -> tuple[bytes, ...]:
    """Images of every form, signed ones too."""
    files = [path.read_bytes() for path in sorted((VECTORS / "eif").glob("*.eif"))]
    made = [assemble([*PLAIN, (SectionKind.SIGNATURE, section)]) for section in sections()]
    return (
        *files,
        *made,
        assemble(PLAIN),
        assemble(PLAIN[:2]),
        assemble([PLAIN[0], PLAIN[3], PLAIN[1]], version=2, flags=1),
        assemble(PLAIN)[:-3],
        assemble(PLAIN, flags=0x0240),
        *hostile_images(),
    )


def hostile_images() -> Iterator[bytes]:
    """Images with one fault each, and the oddities that are accepted with a warning."""
    kernel, cmdline, description, ramdisk, _ = PLAIN
    first, offsets, sizes = HEADER.size, 28, 28 + 8 * 32  # the tables in the header
    whole, signed = assemble(PLAIN), assemble([*PLAIN, (SectionKind.SIGNATURE, sections()[0])])
    for image, place, value in (
        (whole, 0, b".elf"), (whole, 4, b"\0\5"), (whole, 6, b"\0\2"), (whole, 24, b"\0\1"),
        (whole, 26, b"\0\1"), (whole, 26, b"\0\4"), (whole, 26, b"\0\6"),
        (whole, 26, b"\xff\xff"), (whole, offsets, b"\1"), (whole, sizes, b"\1"),
        (whole, sizes + 8 * 9, b"\1"), (whole, first, b"\0\0"), (whole, first, b"\0\x63"),
        (whole, first + 2, b"\0\1"), (whole, first + 4, b"\1"),
        (signed, sizes + 8 * len(PLAIN), b"\1"),
    ):  # fmt: skip
        edited = bytearray(image)
        edited[place : place + len(value)] = value
        yield with_crc(bytes(edited))
    for parts in (
        [kernel, kernel, cmdline], [ramdisk, kernel, cmdline], [cmdline, ramdisk],
        [kernel, ramdisk], [kernel, cmdline, description, description],
        [kernel, cmdline, (SectionKind.METADATA, b"[]")],
    ):  # fmt: skip
        yield assemble(parts)
    yield from (assemble(PLAIN, version=3), whole[:9], whole + b"more", whole[:-1] + b"X")


def check_eif_signature(data: bytes) -> bool:
    """The signature section of one image: nobody but its signers signed it."""
    found = outcome(1000, ImageError, check_signature_section, data, PCR0, 1000)
    if refused(found):
        return False
    entries = cbor2.loads(data)
    assert cbor2.dumps(entries) == data
    assert len(entries) == found.entries
    key = x509.load_der_x509_certificate(found.certificate).public_key()
    assert key in [signer.public_key() for signer in SIGNERS]
    assert found.pcr8 == _measured(found.certificate)
    json.dumps(found.to_dict())
    return True


@functools.cache
def sections() -> tuple[bytes, ...]:
    """A section of each signer, and one of two."""
    each = [signature_section(PCR0, key, self_signed_certificate(key)) for key in SIGNERS]
    other = signature_section(bytes(48), SIGNERS[0], self_signed_certificate(SIGNERS[0]))
    both = cbor2.dumps(cbor2.loads(each[0]) + cbor2.loads(each[1]))
    return (*each, both, other, b"\x80", b"\x81\xa0", *hostile_sections(each[1]))


def hostile_sections(section: bytes) -> Iterator[bytes]:
    """A section with one fault each, and one in the other form of octets."""
    (entry,) = cbor2.loads(section)
    protected, _, payload, signature = cbor2.loads(bytes(entry["signature"]))

    def signed(*parts: object) -> bytes:
        return cbor2.dumps([entry | {"signature": list(cbor2.dumps(list(parts)))}])

    def certified(certificate: bytes) -> bytes:
        return cbor2.dumps([entry | {"signing_certificate": list(certificate)}])

    yield cbor2.dumps([{name: bytes(value) for name, value in entry.items()}])
    yield cbor2.dumps([entry | {"signature": "text"}])
    yield cbor2.dumps([entry | {"signature": cbor2.CBORTag(18, [])}])
    yield from (signed(protected), signed(protected, {}, payload, signature[:-1]))
    yield from (signed(b"", {}, payload, signature), signed(protected, {}, payload, bytes(96)))
    ed25519_key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    pem = ed25519_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield from (certified(pem), certified(pem.replace(b"PUBLIC KEY", b"CERTIFICATE")))
    yield from (section + b"\0", section[:-1], b"\x9f" + section[1:] + b"\xff", b"\xc1\0")


def check_eif_metadata(data: bytes) -> bool:
    """Metadata of the builder: never rejects the image, and is one JSON object or nothing."""
    image = measure(io.BytesIO(assemble([*PLAIN[:2], (SectionKind.METADATA, data)])))
    if image.unattested_metadata is None:
        assert "eif.metadata" in [notice.code for notice in image.warnings]
        return False
    assert image.unattested_metadata == json.loads(data)
    json.dumps(image.to_dict(), allow_nan=False)
    return True


def metadata() -> Iterator[bytes]:
    """JSON objects, and what comes close."""
    yield from (b"{}", b'{"a": [1, 2.5, null, true, "\\u00e9"]}', b'{"a": 1, "a": 2}')
    yield from (b"[]", b'{"a": NaN}', b'{"a": 1e999}', b'{"a":' * 40 + b"1" + b"}" * 40, b"\xff")


def check_uki(data: bytes) -> bool:
    """A unified kernel image: no read outside, and its digest is that of what it lays open."""
    file = WatchedFile(data)
    found = outcome(len(data), ImageError, uki_measurements, file)
    if refused(found) and found.code == "pe.stub_version":
        found = outcome(
            len(data), (ImageError, InputError), uki_measurements, file, systemd_stub_version=252
        )
    if refused(found):
        return False
    layout = read_pe(ImageFile(WatchedFile(data), "pe"), 0, len(data))
    digest = authenticode_sha384(ImageFile(WatchedFile(data), "pe"), layout)
    assert digest == found.authenticode
    last = layout.headers_end
    for section in layout.sections:
        assert last <= section.offset <= section.end <= len(data)
        last = section.end
    if last == layout.headers_end + sum(section.size for section in layout.sections):
        assert hashlib.sha384(_without_what_is_left_out(data, layout)).digest() == digest
    assert all(len(value) == 48 for value in found.measurements().values())
    return True


def _without_what_is_left_out(data: bytes, layout: object) -> bytes:
    """An image without gaps, less the checksum, the certificate table and the entry for it."""
    kept = bytearray(data[: len(data) - layout.certificate_bytes])
    if layout.certificate_entry is not None:
        del kept[layout.certificate_entry : layout.certificate_entry + 8]
    del kept[layout.checksum : layout.checksum + 4]
    return bytes(kept)


def ukis() -> Iterator[bytes]:
    """Images with and without what makes a difference."""
    yield from (path.read_bytes() for path in sorted((VECTORS / "uki").glob("*.efi")))
    yield build_uki()
    yield build_uki(trailing=b"trailing", certificate_table=b"signature")
    kernel = build_pe([(".text", b"kernel")])
    for release in (b"252.23-3.amzn2023", b"258", b"258~rc1", b"251"):
        magic = b"#### LoaderInfo: systemd-stub " + release + b" ####"
        yield build_pe([(".sdmagic", magic), (".linux", kernel)])
    yield build_pe([(".linux", kernel), (".linux", kernel)])
    yield build_pe([(".text", b"no kernel")], directories=4)
    yield build_pe([(".linux", b"no image"), (".sdmagic", b"no release")])
    yield build_pe([(".sdmagic", bytes(600)), (".linux", kernel)])
    yield from hostile_pes(build_uki())


def hostile_pes(uki: bytes) -> Iterator[bytes]:
    """Images with one fault each in a field of the headers."""
    coff = int.from_bytes(uki[60:64], "little")
    optional = coff + 24
    section = optional + int.from_bytes(uki[coff + 20 : coff + 22], "little")
    for place, value in (
        (0, b"XX"), (60, b"\xff\xff\xff\0"), (coff, b"XX"), (coff + 6, b"\xff\xff"),
        (coff + 6, b"\0\0"), (coff + 20, b"\0\0"), (coff + 20, b"\xff\xff"),
        (optional, b"\0\0"), (optional + 60, b"\xff\xff\xff\x7f"), (optional + 60, bytes(4)),
        (optional + 108, b"\xff"), (optional + 144, b"\1"), (section + 16, bytes(4)),
        (section + 20, b"\1\0\0\0"), (section + 20, b"\xff\xff\xff\x7f"),
        (section + 60, uki[section + 20 : section + 24]),
    ):  # fmt: skip
        edited = bytearray(uki)
        edited[place : place + len(value)] = value
        yield bytes(edited)


def check_variables(data: bytes) -> bool:
    """Secure Boot variables of an image's owner: db, or another one if the first octet says so."""
    if not data:
        return False
    good = signature_list(b"certificate")
    name, data = ("db", "pk", "kek", "dbx")[data[0] % 4], data[1:]
    values = {"pk": good, "kek": good, "db": good, name: data}
    found = outcome(len(data), InputError, SecureBootVariables, **values)
    if refused(found):
        return False
    assert getattr(found, name) == data
    assert values["db"].endswith(found.authority)
    assert len(boot_pcr7(found)) == 48
    return True


def variables() -> Iterator[bytes]:
    """Lists of signatures as each of the variables."""
    lists = [signature_list(b"certificate"), signature_list(bytes(32), bytes(32)), b""]
    for place in range(4):
        for content in (*lists, lists[0] + lists[1], lists[0][:-1], lists[0] + b"x", bytes(40)):
            yield bytes([place]) + content


TARGETS = {
    "eif": Target(
        check_eif, images, ("measurements.eif.image", "measurements.eif.layout"), longest=8192
    ),
    "eif_signature": Target(
        check_eif_signature, sections, ("measurements.eif.signature",), longest=8192
    ),
    "eif_metadata": Target(
        check_eif_metadata,
        metadata,
        ("measurements.eif.image:_read_metadata,_parse_metadata",),
        "text.dict",
    ),
    "uki": Target(
        check_uki,
        ukis,
        (
            "measurements.uki.image:uki_measurements,_stub_version,_stub_version_in_image,"
            "_kernel_authenticode",
            "measurements.uki.pe",
        ),
        longest=16384,
    ),
    "variables": Target(
        check_variables,
        variables,
        ("measurements.uki.boot_events:SecureBootVariables,_signatures,_variable,_malformed",),
    ),
}
