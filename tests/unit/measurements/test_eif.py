"""Enclave images: worked values, and the accepted and rejected cases of F-* and S-*."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from nitro_attest._internal.pcrs import ZERO_PCR
from nitro_attest.errors import ImageError, InputError
from nitro_attest.limits import DEFAULT_IMAGE_BYTES, MAX_EIF_SIGNATURE_BYTES
from nitro_attest.measurements import (
    EnclaveImage,
    SectionKind,
    measure,
    pcr8_from_certificate,
    uki_measurements,
)
from nitro_attest.measurements.eif.signature import register_payload
from nitro_attest.measurements.pcr import image_measurement
from nitro_attest.testing.eif import (
    assemble,
    build_eif,
    self_signed_certificate,
    signature_section,
    with_crc,
)

FIXTURES = Path(__file__).parents[3] / "fixtures/vectors"
VECTORS: dict[str, Any] = json.loads((FIXTURES / "measurements.json").read_text())

KERNEL, CMDLINE, RAMDISK = SectionKind.KERNEL, SectionKind.CMDLINE, SectionKind.RAMDISK
SIGNATURE, METADATA = SectionKind.SIGNATURE, SectionKind.METADATA
PLAIN = [(KERNEL, b"kernel"), (CMDLINE, b"quiet"), (METADATA, b"{}"), (RAMDISK, b"r1")]
TABLE_OFFSETS, TABLE_SIZES, FIRST_HEAD = 0x1C, 0x11C, 548

KEY = ec.generate_private_key(ec.SECP384R1())
CERTIFICATE = self_signed_certificate(KEY)


def measured(image: bytes, **options: Any) -> EnclaveImage:
    return measure(io.BytesIO(image), **options)


def codes(image: EnclaveImage) -> list[str]:
    return [warning.code for warning in image.warnings]


def rejected(image: bytes, code: str, offset: int | None) -> ImageError:
    with pytest.raises(ImageError) as error:
        measured(image)
    assert (error.value.code, error.value.offset) == (code, offset)
    return error.value


def patched(image: bytes, form: str, offset: int, *values: int) -> bytes:
    """Overwrites numbers in an image, and corrects its CRC."""
    copy = bytearray(image)
    struct.pack_into(form, copy, offset, *values)
    return with_crc(bytes(copy))


def double_hash(*data: bytes) -> bytes:
    return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(data)).digest()).digest()


def signed(**options: Any) -> bytes:
    return build_eif(
        kernel=b"kernel",
        cmdline=b"quiet",
        ramdisks=[b"r1", b"r2"],
        metadata={},
        signing_key=options.pop("signing_key", KEY),
        certificate_pem=options.pop("certificate_pem", CERTIFICATE),
        **options,
    )


def with_signature(section: bytes) -> bytes:
    return assemble([*PLAIN, (SIGNATURE, section)])


def entry(certificate: bytes = CERTIFICATE, cose: bytes = b"") -> dict[str, Any]:
    return {"signing_certificate": list(certificate), "signature": list(cose)}


PLAIN_PCR0 = double_hash(b"kernel", b"quiet", b"r1")
GOOD_SECTION = signature_section(PLAIN_PCR0, KEY, CERTIFICATE)
GOOD_COSE = bytes(cbor2.loads(GOOD_SECTION)[0]["signature"])


# Worked values


@pytest.mark.parametrize("case", VECTORS["eif"], ids=lambda case: case["id"])
def test_worked_image_has_the_worked_measurements(case: dict[str, Any]) -> None:
    path = FIXTURES / case["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == case["file_sha256"]
    image = measure(path)
    assert {str(i): value.hex() for i, value in image.measurements().items()} == case["pcrs"]
    assert f"{image.crc32_stored:08x}" == f"{image.crc32_computed:08x}" == case["crc32"]
    assert image.size == case["size"]
    assert [(s.kind, s.size) for s in image.sections] == [
        (section["type"], len(section["data"]) // 2) for section in case["sections"]
    ]
    assert (image.version, image.architecture, image.default_cpus) == (4, "x86_64", 2)
    assert image.default_mem == 1 << 30
    assert image.warnings == ()


@pytest.mark.parametrize("case", VECTORS["eif"], ids=lambda case: case["id"])
def test_writer_reproduces_the_worked_image(case: dict[str, Any]) -> None:
    data: dict[int, list[bytes]] = {kind: [] for kind in SectionKind}
    for section in case["sections"]:
        data[section["type"]].append(bytes.fromhex(section["data"]))
    image = build_eif(
        kernel=data[KERNEL][0],
        cmdline=data[CMDLINE][0],
        ramdisks=data[RAMDISK],
        metadata=json.loads(data[METADATA][0]),
    )
    assert image == (FIXTURES / case["file"]).read_bytes()


@pytest.mark.parametrize("case", VECTORS["eif_signature_payload"], ids=lambda case: case["id"])
def test_s1_payload_worked_value(case: dict[str, Any]) -> None:
    assert register_payload(bytes.fromhex(case["pcr0"])).hex() == case["payload"]


def test_one_ramdisk_gives_equal_pcr0_and_pcr1_and_the_pcr2_of_nothing() -> None:
    image = measured(assemble(PLAIN))
    assert image.pcr0 == image.pcr1 == PLAIN_PCR0
    assert image.pcr2 == double_hash()


# F-1


@pytest.mark.parametrize("version", [2, 3])
def test_f1_versions_2_and_3_are_read(version: int) -> None:
    sections = [part for part in PLAIN if part[0] != METADATA]
    image = measured(assemble(sections, version=version))
    assert image.version == version
    assert image.warnings == ()


@pytest.mark.parametrize("version", [0, 1, 5, 0xFFFF])
def test_f1_other_versions_are_rejected(version: int) -> None:
    rejected(patched(assemble(PLAIN), ">H", 4, version), "eif.version", 4)


@pytest.mark.parametrize("start", [b"", b"\x7fELF", b".ei", b"EIF.", b".eiF" + bytes(1000)])
def test_f1_other_files_are_rejected(start: bytes) -> None:
    rejected(start, "eif.magic", 0)


def test_f1_2_and_32_sections_are_read() -> None:
    assert len(measured(assemble(PLAIN[:2], version=3)).sections) == 2
    full = [*PLAIN, *((RAMDISK, b"%d" % index) for index in range(28))]
    assert len(measured(assemble(full)).sections) == 32


@pytest.mark.parametrize("count", [0, 1, 33, 0xFFFF])
def test_f1_other_section_counts_are_rejected(count: int) -> None:
    rejected(patched(assemble(PLAIN), ">H", 0x1A, count), "eif.sections", 0x1A)


def test_architecture_is_read_from_bit_0() -> None:
    image = build_eif(kernel=b"k", cmdline=b"c", ramdisks=[b"r"], architecture="aarch64")
    assert measured(image).architecture == "aarch64"


@pytest.mark.parametrize(("form", "offset"), [(">H", 0x18), (">I", 0x21C)])
def test_f1_reserved_header_fields_are_reported(form: str, offset: int) -> None:
    image = measured(patched(assemble(PLAIN), form, offset, 0x100))
    assert codes(image) == ["eif.reserved"]
    assert "0x" in image.warnings[0].message
    assert f"at byte {offset}" in image.warnings[0].message


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (0x0240, "PCIE, VIRTIO"),
        (0x0241, "PCIE, VIRTIO"),
        (0x0080, "VSOCK"),
        (0x0100, "HOTPLUG"),
        (0x0400, "ASSIGN"),
        (0x0800, "CPU_OVERCOMMIT"),
        (0x1000, "CPU_ACCOUNTING"),
        (0x2000, "NUMA"),
        (0x0002, "unknown bit 1"),
        (0x8020, "unknown bit 5, unknown bit 15"),
    ],
)
@pytest.mark.parametrize("build", [lambda: assemble(PLAIN), lambda: with_signature(GOOD_SECTION)])
def test_f1_other_flags_are_named_and_give_no_pcr(
    build: Callable[[], bytes], flags: int, names: str
) -> None:
    error = rejected(patched(build(), ">H", 6, flags), "eif.flags", 6)
    assert f"found {flags:#06x} ({names});" in error.message
    assert "it computes no PCR and checks no signature" in error.message


def test_f1_the_signature_of_an_image_with_other_flags_is_not_called_that_of_another_image() -> (
    None
):
    """Builders that measure the flags sign a PCR0 that the sections alone do not give."""
    section = signature_section(image_measurement(bytes([7] * 48)), KEY, CERTIFICATE)
    error = rejected(patched(with_signature(section), ">H", 6, 0x0240), "eif.flags", 6)
    assert "PCIE, VIRTIO" in error.message


def test_f1_the_architecture_is_no_other_flag() -> None:
    assert (
        measured(assemble(PLAIN, flags=1)).measurements()
        == measured(assemble(PLAIN)).measurements()
    )


# F-2


def test_f2_every_truncation_is_rejected() -> None:
    image = signed()
    for length in range(len(image)):
        with pytest.raises(ImageError) as error:
            measured(image[:length])
        assert error.value.code == ("eif.magic" if length < 4 else "eif.truncated")


@pytest.mark.parametrize("tail", [1, 11, 12, 13, 4096])
def test_f2_trailing_bytes_are_rejected_even_fewer_than_a_head(tail: int) -> None:
    image = assemble(PLAIN)
    rejected(with_crc(image + bytes(tail)), "eif.trailing", len(image))


def test_f2_fewer_sections_than_announced_are_rejected() -> None:
    image = assemble(PLAIN)
    rejected(patched(image, ">H", 0x1A, 5), "eif.truncated", len(image))


def test_f2_more_sections_than_announced_are_rejected() -> None:
    last = len(assemble(PLAIN[:3]))
    rejected(patched(assemble(PLAIN), ">H", 0x1A, 3), "eif.trailing", last)


@pytest.mark.parametrize("size", [7 + 12, 1 << 31, 1 << 63, (1 << 64) - 1])
def test_f2_a_section_larger_than_the_file_is_rejected(size: int) -> None:
    image = assemble([(KERNEL, b"kernel"), (CMDLINE, b"quiet")], version=3)
    claim = patched(image, ">Q", FIRST_HEAD + 18 + 4, size)
    rejected(claim, "eif.truncated", FIRST_HEAD + 18)


# F-3


@pytest.mark.parametrize(("table", "what"), [(TABLE_OFFSETS, "offset"), (TABLE_SIZES, "size")])
@pytest.mark.parametrize("index", [0, 3, 4, 31])
@pytest.mark.parametrize("lie", [1, 1 << 63])
def test_f3_a_wrong_table_is_rejected(table: int, what: str, index: int, lie: int) -> None:
    place = table + 8 * index
    error = rejected(patched(assemble(PLAIN), ">Q", place, lie), "eif.table", place)
    assert f"{what} {index} is {lie} in the table" in error.message


@pytest.mark.parametrize("index", [0, 1, 3])
@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_f3_padding_before_a_section_is_rejected_with_both_offsets(
    index: int, filler: bytes
) -> None:
    """A reader of the table skips the padding, and would boot what the walk does not see."""
    image = assemble(PLAIN)
    offsets = struct.unpack_from(f">{len(PLAIN)}Q", image, TABLE_OFFSETS)
    walked, listed = offsets[index], offsets[index] + 100
    moved = bytearray(image[:walked] + filler * 100 + image[walked:])
    for later in range(index, len(PLAIN)):
        struct.pack_into(">Q", moved, TABLE_OFFSETS + 8 * later, offsets[later] + 100)
    error = rejected(with_crc(bytes(moved)), "eif.table", TABLE_OFFSETS + 8 * index)
    assert f"offset {index} is {listed} in the table, but {walked} in the file" in error.message


def test_f3_overlapping_sections_are_rejected() -> None:
    image = assemble(PLAIN)
    (first,) = struct.unpack_from(">Q", image, TABLE_OFFSETS)
    place = TABLE_OFFSETS + 8
    rejected(patched(image, ">Q", place, first), "eif.table", place)


def test_f3_a_stale_size_of_the_signature_section_is_a_warning() -> None:
    image = measured(patched(signed(), ">Q", TABLE_SIZES + 8 * 5, 77))
    assert codes(image) == ["eif.table"]
    assert image.signature is not None


def test_f3_a_wrong_offset_of_the_signature_section_is_rejected() -> None:
    place = TABLE_OFFSETS + 8 * 5
    rejected(patched(signed(), ">Q", place, 77), "eif.table", place)


# F-4, F-8


@pytest.mark.parametrize(
    ("sections", "boot", "application"),
    [
        ("k:K c:C r:1 r:2 r:3", "KC1", "23"),
        ("c:C k:K r:1 r:2", "CK1", "2"),
        ("k:K r:1 c:C r:2", "K1C", "2"),
        ("k:K r:1 r:2 c:C", "K1C", "2"),
        ("k:K r:1 r:2 c:C r:3", "K1C", "23"),
    ],
)
def test_f8_data_are_hashed_by_type_in_file_order(
    sections: str, boot: str, application: str
) -> None:
    kinds = {"k": KERNEL, "c": CMDLINE, "r": RAMDISK}
    parts = [(kinds[text[0]], text[2:].encode()) for text in sections.split()]
    image = measured(assemble(parts, version=3))
    assert image.pcr0 == double_hash(*(data for _, data in parts))
    assert image.pcr1 == double_hash(boot.encode())
    assert image.pcr2 == double_hash(application.encode())


def test_m5_same_bytes_split_differently_differ_in_pcr1_and_pcr2_only() -> None:
    one = measured(assemble([*PLAIN[:3], (RAMDISK, b"ab"), (RAMDISK, b"c")]))
    two = measured(assemble([*PLAIN[:3], (RAMDISK, b"a"), (RAMDISK, b"bc")]))
    assert one.pcr0 == two.pcr0
    assert one.pcr1 != two.pcr1
    assert one.pcr2 != two.pcr2


def test_m6_header_and_metadata_are_not_measured() -> None:
    image = patched(assemble(PLAIN), ">Q", 8, 1 << 40)
    other = assemble([*PLAIN[:2], (METADATA, b'{"ImageName": "other"}'), PLAIN[3]])
    assert measured(image).measurements() == measured(other).measurements()


@pytest.mark.parametrize("order", [[METADATA, CMDLINE, KERNEL, SIGNATURE, RAMDISK]])
def test_f4_other_orders_are_read(order: Sequence[SectionKind]) -> None:
    image = measured(signed(section_order=order))
    assert [section.kind for section in image.sections] == [*order, RAMDISK]
    assert image.pcr0 == double_hash(b"quiet", b"kernel", b"r1", b"r2")
    assert image.signature is not None


@pytest.mark.parametrize(
    ("sections", "at_fault", "message"),
    [
        ([*PLAIN, (KERNEL, b"again")], 4, "expected one kernel section, found two"),
        ([*PLAIN, (CMDLINE, b"again")], 4, "expected one cmdline section, found two"),
        ([*PLAIN, (METADATA, b"{}")], 4, "expected one metadata section, found two"),
        (
            [*PLAIN, (SIGNATURE, GOOD_SECTION), (SIGNATURE, GOOD_SECTION)],
            5,
            "expected one signature section, found two",
        ),
        ([PLAIN[3], *PLAIN[:3]], 0, "expected a kernel before the first ramdisk"),
        ([*PLAIN, (0, b"")], 4, "unknown section type 0"),
        ([*PLAIN, (6, b"")], 4, "unknown section type 6"),
        ([*PLAIN, (0xFFFF, b"")], 4, "unknown section type 65535"),
        (PLAIN[1:3], None, "expected a kernel section, found none"),
        (PLAIN[:1] + PLAIN[2:], None, "expected a cmdline section, found none"),
    ],
)
def test_f4_other_compositions_are_rejected(
    sections: list[tuple[int, bytes]], at_fault: int | None, message: str
) -> None:
    offset = None if at_fault is None else len(assemble(sections[:at_fault]))
    assert message in rejected(assemble(sections), "eif.section_type", offset).message


@pytest.mark.parametrize(("kind", "version"), [(SIGNATURE, 2), (METADATA, 2), (METADATA, 3)])
def test_f4_a_section_newer_than_the_version_is_rejected(kind: SectionKind, version: int) -> None:
    sections = [*PLAIN[:2], (kind, GOOD_SECTION if kind is SIGNATURE else b"{}")]
    offset = len(assemble(sections[:2]))
    rejected(assemble(sections, version=version), "eif.section_type", offset)


def test_f4_no_ramdisk_and_no_metadata_are_warnings() -> None:
    image = measured(assemble(PLAIN[:2]))
    assert codes(image) == ["eif.no_ramdisk", "eif.no_metadata"]
    assert image.pcr0 == image.pcr1 == double_hash(b"kernel", b"quiet")


def test_f4_section_flags_are_a_warning() -> None:
    image = measured(patched(assemble(PLAIN), ">H", FIRST_HEAD + 2, 4))
    assert codes(image) == ["eif.section_flags"]
    assert image.sections[0].flags == 4


# F-5


def test_f5_a_wrong_crc_is_rejected_or_reported() -> None:
    image = bytearray(assemble(PLAIN))
    image[-1] ^= 1
    rejected(bytes(image), "eif.crc", 0x220)
    result = measured(bytes(image), ignore_crc=True)
    assert codes(result) == ["eif.crc"]
    assert result.crc32_stored != result.crc32_computed
    assert result.pcr0 != PLAIN_PCR0


@pytest.mark.parametrize("offset", [8, 0x21C, FIRST_HEAD + 3, -1])
def test_f5_the_crc_covers_header_heads_and_data(offset: int) -> None:
    image = bytearray(assemble(PLAIN))
    image[offset] ^= 0x80
    rejected(bytes(image), "eif.crc", 0x220)


# F-6


def test_f6_a_signature_section_at_and_over_the_limit() -> None:
    filler = MAX_EIF_SIGNATURE_BYTES
    at_limit = rejected(with_signature(bytes(filler)), "eif.signature", len(assemble(PLAIN)))
    assert "array" in at_limit.message
    rejected(with_signature(bytes(filler + 1)), "eif.signature_size", len(assemble(PLAIN)))


# F-7


def test_f7_an_image_at_the_limit_is_measured_and_a_larger_one_is_rejected() -> None:
    image = assemble(PLAIN)
    assert measured(image, max_size=len(image)).pcr0 == PLAIN_PCR0
    with pytest.raises(ImageError) as error:
        measured(image, max_size=len(image) - 1)
    assert error.value.code == "eif.too_large"
    assert f"at most {len(image) - 1} bytes, found {len(image)};" in error.value.message


def test_f7_a_sparse_file_is_rejected_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.eif"
    with path.open("wb") as file:
        file.write(assemble(PLAIN))
        file.truncate(DEFAULT_IMAGE_BYTES + 1)
    for call, code in ((measure, "eif.too_large"), (uki_measurements, "pe.too_large")):
        with pytest.raises(ImageError) as error:
            call(path)
        assert error.value.code == code
        with pytest.raises(ImageError) as error:
            call(path, max_size=DEFAULT_IMAGE_BYTES + 1)
        assert error.value.code != code


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "16GiB", None])
def test_f7_a_limit_that_is_no_size_is_an_input_error(limit: Any) -> None:
    with pytest.raises(InputError) as error:
        measured(assemble(PLAIN), max_size=limit)
    assert error.value.code == "input.expected"
    assert "max_size" in error.value.message


# S-1 to S-5


@pytest.mark.parametrize(
    ("curve", "algorithm", "cose_number"),
    [
        (ec.SECP256R1(), "ES256", -7),
        (ec.SECP384R1(), "ES384", -35),
        (ec.SECP521R1(), "ES512", -36),
    ],
)
def test_s2_a_signature_of_each_curve_is_accepted(
    curve: ec.EllipticCurve, algorithm: str, cose_number: int
) -> None:
    key = ec.generate_private_key(curve)
    pem = self_signed_certificate(key)
    data = signed(signing_key=key, certificate_pem=pem)
    image = measured(data)
    assert image.warnings == ()
    assert image.signature is not None
    assert image.signature.algorithm == algorithm
    assert image.signature.subject == "CN=EIF signer for tests"
    assert (
        x509.load_der_x509_certificate(image.signature.certificate).public_key() == key.public_key()
    )
    cose = cbor2.loads(data[image.sections[-1].data_offset :])[0]["signature"]
    assert cbor2.loads(bytes(cose))[0] == cbor2.dumps({1: cose_number})


def test_s4_pcr8_measures_the_first_certificate_and_is_absent_when_unsigned() -> None:
    other = self_signed_certificate(ec.generate_private_key(ec.SECP256R1()))
    image = measured(signed(certificate_pem=CERTIFICATE + other))
    assert image.pcr8 == pcr8_from_certificate(CERTIFICATE)
    assert image.measurements()[8] == image.pcr8
    unsigned = measured(assemble(PLAIN))
    assert unsigned.pcr8 is None
    assert unsigned.signature is None
    assert sorted(unsigned.measurements()) == [0, 1, 2]


def test_s1_a_signature_of_a_different_image_is_rejected() -> None:
    section = signature_section(image_measurement(ZERO_PCR), KEY, CERTIFICATE)
    error = rejected(with_signature(section), "eif.signature_pcr0", len(assemble(PLAIN)))
    assert PLAIN_PCR0.hex() in error.message


@pytest.mark.parametrize(
    "payload",
    [
        {"register_index": 1, "register_value": list(PLAIN_PCR0)},
        {"register_index": 0, "register_value": PLAIN_PCR0},
        {"register_value": list(PLAIN_PCR0), "register_index": 0},
        {"register_index": 0, "register_value": list(PLAIN_PCR0), "more": 0},
    ],
)
def test_s1_the_payload_is_compared_as_bytes(payload: dict[str, Any]) -> None:
    parts = cbor2.loads(GOOD_COSE)
    cose = cbor2.dumps([parts[0], {}, cbor2.dumps(payload), parts[3]])
    image = with_signature(cbor2.dumps([entry(cose=cose)]))
    rejected(image, "eif.signature_pcr0", len(assemble(PLAIN)))


def test_s2_a_signature_by_a_different_key_is_rejected() -> None:
    section = signature_section(PLAIN_PCR0, ec.generate_private_key(ec.SECP384R1()), CERTIFICATE)
    error = rejected(with_signature(section), "eif.signature", len(assemble(PLAIN)))
    assert "does not match" in error.message


def edit_cose(change: Callable[[list[Any]], Any]) -> bytes:
    parts = list(cbor2.loads(GOOD_COSE))
    result = change(parts)
    return cbor2.dumps(parts if result is None else result)


@pytest.mark.parametrize(
    ("cose", "message"),
    [
        (b"", "not well-formed"),
        (GOOD_COSE[:-1], "not well-formed"),
        (GOOD_COSE + b"\x00", "trailing bytes"),
        (b"\xd2" + GOOD_COSE, "not well-formed"),
        (b"\x98\x04" + GOOD_COSE[1:], "not in shortest form"),
        (b"\x9f" + GOOD_COSE[1:] + b"\xff", "not well-formed"),
        (edit_cose(lambda parts: parts[:3]), "array of 4"),
        (edit_cose(lambda parts: {}), "array of 4"),
        (edit_cose(lambda parts: parts.__setitem__(0, cbor2.dumps({1: -7}))), "alg: ES384"),
        (edit_cose(lambda parts: parts.__setitem__(0, b"")), "alg: ES384"),
        (edit_cose(lambda parts: parts.__setitem__(1, {1: -35})), "alg: ES384"),
        (edit_cose(lambda parts: parts.__setitem__(3, parts[3][:-1])), "96 bytes"),
        (edit_cose(lambda parts: parts.__setitem__(3, None)), "96 bytes"),
        (edit_cose(lambda parts: parts.__setitem__(3, bytes(96))), "does not match"),
        (edit_cose(lambda parts: parts.__setitem__(3, b"\xff" * 96)), "does not match"),
    ],
)
def test_s2_a_malformed_cose_sign1_is_rejected(cose: bytes, message: str) -> None:
    image = with_signature(cbor2.dumps([entry(cose=cose)]))
    assert message in rejected(image, "eif.signature", len(assemble(PLAIN))).message


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (b"", "not well-formed"),
        (b"\x80", "at least one"),
        (b"\xa0", "at least one"),
        (cbor2.dumps([1]), "not a map"),
        (cbor2.dumps([{"signature": [1]}]), "not a map"),
        (cbor2.dumps([entry() | {"more": 1}]), "not a map"),
        (cbor2.dumps([entry() | {"signature": "text"}]), "array of bytes"),
        (cbor2.dumps([entry() | {"signature": [256]}]), "array of bytes"),
        (cbor2.dumps([entry() | {"signature": [-1]}]), "array of bytes"),
        (cbor2.dumps([entry() | {"signature": [True]}]), "array of bytes"),
        (cbor2.dumps([entry() | {"signature": [1.0]}]), "array of bytes"),
        (GOOD_SECTION + b"\x00", "trailing bytes"),
        (b"\x98\x01" + GOOD_SECTION[1:], "not in shortest form"),
        (b"\x9f" + GOOD_SECTION[1:] + b"\xff", "not well-formed"),
        (
            b"\x81\xa3" + GOOD_SECTION[2:] + cbor2.dumps("signature") + cbor2.dumps([*GOOD_COSE]),
            "duplicate keys",
        ),
        (b"\xc1" + GOOD_SECTION, "not well-formed"),
        (b"\xc5\x82\x1b\x00\x00\x00\x00\xff\xff\xff\xff\x03", "not well-formed"),
        (b"\x9b\x7f" + b"\xff" * 7, "not well-formed"),
        (b"\x5b\x7f" + b"\xff" * 7, "not well-formed"),
        (b"\x81" * 32768, "not well-formed"),
        (cbor2.dumps([entry(b"", GOOD_COSE)]), "certificate is malformed"),
        (cbor2.dumps([entry(CERTIFICATE[:-40], GOOD_COSE)]), "certificate is malformed"),
        (
            cbor2.dumps([entry(CERTIFICATE.replace(b"M", b"A"), GOOD_COSE)]),
            "certificate is malformed",
        ),
    ],
)
def test_s2_a_malformed_signature_section_is_rejected(section: bytes, message: str) -> None:
    error = rejected(with_signature(section), "eif.signature", len(assemble(PLAIN)))
    assert message in error.message


def ed25519_certificate() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2027, 1, 1))
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "pem",
    [self_signed_certificate(ec.generate_private_key(ec.SECP256K1())), ed25519_certificate()],
    ids=["secp256k1", "ed25519"],
)
def test_s2_an_unsupported_key_type_is_rejected(pem: bytes) -> None:
    image = with_signature(cbor2.dumps([entry(pem, GOOD_COSE)]))
    error = rejected(image, "eif.signature", len(assemble(PLAIN)))
    assert "P-256, P-384 or P-521" in error.message


def test_s2_a_key_that_does_not_fit_the_algorithm_is_rejected() -> None:
    pem = self_signed_certificate(ec.generate_private_key(ec.SECP256R1()))
    image = with_signature(cbor2.dumps([entry(pem, GOOD_COSE)]))
    assert "alg: ES256" in rejected(image, "eif.signature", len(assemble(PLAIN))).message


def test_writer_gives_equal_bytes_for_equal_arguments() -> None:
    assert signed() == signed()


def test_writer_needs_key_and_certificate_together() -> None:
    with pytest.raises(InputError):
        signed(certificate_pem=None)
    with pytest.raises(InputError):
        signed(signing_key=None)


def test_s5_byte_strings_are_read_as_well() -> None:
    section = cbor2.dumps([{"signing_certificate": CERTIFICATE, "signature": GOOD_COSE}])
    image = measured(with_signature(section))
    assert image.pcr8 == pcr8_from_certificate(CERTIFICATE)


def test_only_the_first_signature_is_verified_and_others_are_reported() -> None:
    good = entry(cose=GOOD_COSE)
    image = measured(with_signature(cbor2.dumps([good, entry(cose=b"other")])))
    assert codes(image) == ["eif.signature_entries"]
    offset = len(assemble(PLAIN))
    rejected(with_signature(cbor2.dumps([entry(cose=b"other"), good])), "eif.signature", offset)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, []),
        (datetime(2026, 6, 1, tzinfo=timezone.utc), []),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), []),
        (datetime(2027, 1, 1, tzinfo=timezone.utc), []),
        (datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=timezone.utc), ["eif.cert_expired"]),
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=timezone.utc), ["eif.cert_expired"]),
    ],
)
def test_s3_validity_is_checked_at_the_time_given(at: datetime | None, expected: list[str]) -> None:
    image = measured(signed(), at=at)
    assert codes(image) == expected
    assert image.validity_checked_at == at


def test_s3_a_time_without_zone_is_rejected() -> None:
    with pytest.raises(InputError) as error:
        measured(signed(), at=datetime(2026, 6, 1))
    assert error.value.code == "input.time"


# Metadata


def test_metadata_is_parsed_and_named_unattested() -> None:
    image = measured(assemble([*PLAIN[:2], (METADATA, '{"ImageName": "ü"}'.encode()), PLAIN[3]]))
    assert image.unattested_metadata == {"ImageName": "ü"}


def test_keys_of_metadata_may_differ_only_in_case() -> None:
    metadata = b' {"label": 1, "Label": 2}\n'
    image = measured(assemble([*PLAIN[:2], (METADATA, metadata), PLAIN[3]]))
    assert image.unattested_metadata == {"label": 1, "Label": 2}


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"[]",
        b"{} {}",
        b"{",
        b"\xff",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "' + b"x" * (1 << 18) + b'"}',
        b'{"a": "' + b"x" * (3 << 20) + b'"}',
    ],
    ids=range(13),
)
def test_unreadable_metadata_is_a_warning(metadata: bytes) -> None:
    image = measured(assemble([*PLAIN[:2], (METADATA, metadata), PLAIN[3]]))
    assert image.unattested_metadata is None
    assert codes(image) == ["eif.metadata"]
    assert image.pcr0 == PLAIN_PCR0


# The result


def test_result_is_json_ready() -> None:
    result = measured(signed(), at=datetime(2026, 6, 1, tzinfo=timezone.utc)).to_dict()
    again = json.loads(json.dumps(result))
    assert again == result
    assert list(result["pcrs"]) == ["0", "1", "2", "8"]
    assert result["validity_checked_at"] == "2026-06-01T00:00:00+00:00"
    kernel = {"kind": "kernel", "offset": 548, "data_offset": 560, "size": 6, "flags": 0}
    assert result["sections"][0] == kernel
    assert measured(assemble(PLAIN)).to_dict()["signature"] is None


def test_result_can_be_compared_and_hashed() -> None:
    one, two = measured(signed()), measured(assemble(PLAIN))
    assert one == one
    assert one != two
    assert len({one, two}) == 2


# Files


def test_images_larger_than_the_buffer_are_measured_in_pieces() -> None:
    first, second = os.urandom(1_500_000), os.urandom(3_000_000)
    seen: list[tuple[int, int]] = []
    data = assemble([*PLAIN[:3], (RAMDISK, first), (RAMDISK, second)])
    image = measured(data, progress=lambda done, size: seen.append((done, size)))
    assert image.pcr0 == double_hash(b"kernel", b"quiet", first, second)
    assert image.pcr1 == double_hash(b"kernel", b"quiet", first)
    assert image.pcr2 == double_hash(second)
    assert seen == sorted(seen)
    assert len(seen) == 8
    assert seen[-1] == (len(data), len(data))


def test_an_open_file_is_read_from_its_start_and_left_open() -> None:
    file = io.BytesIO(assemble(PLAIN))
    file.seek(100)
    assert measure(file).pcr0 == PLAIN_PCR0
    assert not file.closed


def test_exceptions_of_progress_reach_the_caller() -> None:
    def stop(done: int, size: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        measured(assemble(PLAIN), progress=stop)


def test_paths_that_cannot_be_read_are_input_errors(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "missing.eif", tmp_path, pipe, "/dev/zero", "nul\0byte"):
        with pytest.raises(InputError) as error:
            measure(path)
        assert error.value.code == "input.file"


def test_a_source_other_than_a_seekable_binary_file_is_an_input_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    text = tmp_path / "text"
    text.write_text(".eif")
    image: Any = assemble(PLAIN)
    closed = io.BytesIO(image)
    closed.close()
    with os.fdopen(reader, "rb") as pipe, text.open() as text_file:
        for source in (pipe, text_file, closed, image, None, 3):
            with pytest.raises(InputError) as error:
                measure(source)
            assert error.value.code == "input.expected"


def test_a_read_error_is_an_input_error() -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError) as error:
        measure(Broken(assemble(PLAIN)))
    assert "Input/output error" in error.value.message


def test_a_file_that_shrinks_while_it_is_read_is_truncated() -> None:
    class Shrinking(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if offset == FIRST_HEAD + 12:
                self.truncate(offset + 2)
            return super().seek(offset, whence)

    with pytest.raises(ImageError) as error:
        measure(Shrinking(assemble(PLAIN)))
    assert (error.value.code, error.value.offset) == ("eif.truncated", FIRST_HEAD + 14)
