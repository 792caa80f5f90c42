"""Hostile enclave images: any bytes give a result or an ImageError, within the file and in memory
that no claim in the file can raise."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import tracemalloc
from functools import partial
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostile_files import WatchedFile, Zeros
from nitro_attest.errors import ImageError
from nitro_attest.measurements import EnclaveImage, SectionKind, measure
from nitro_attest.measurements.eif.layout import HEADER, SECTION_HEAD
from nitro_attest.testing.eif import (
    assemble,
    self_signed_certificate,
    signature_section,
    with_crc,
)

UNTIMED = partial(settings, deadline=None)  # a slow machine is no fault of the reader
KEY = ec.derive_private_key(0x1234567, ec.SECP256R1())
PLAIN = [
    (SectionKind.KERNEL, b"kernel"),
    (SectionKind.CMDLINE, b"quiet"),
    (SectionKind.METADATA, b'{"ImageName": "x"}'),
    (SectionKind.RAMDISK, b"ramdisk-1"),
    (SectionKind.RAMDISK, b"ramdisk-2"),
]
SIGNATURE_DATA = signature_section(
    measure(io.BytesIO(assemble(PLAIN))).pcr0, KEY, self_signed_certificate(KEY)
)
ENTRY = cbor2.loads(SIGNATURE_DATA)[0]
SIGNED = assemble([*PLAIN, (SectionKind.SIGNATURE, SIGNATURE_DATA)])
NUMBERS = st.sampled_from([0, 1, 2, 11, 12, 31, 32, 33, 548, 1 << 31, 1 << 63, (1 << 64) - 1])


def judged(data: bytes) -> EnclaveImage | ImageError:
    """The outcome, after checking what must hold of any."""
    file = WatchedFile(data)
    try:
        image = measure(file, ignore_crc=True)
    except ImageError as error:
        rejection = error
    else:
        assert file.bytes_read == len(data)
        json.dumps(image.to_dict(), allow_nan=False)
        return image
    assert rejection.code.startswith("eif.")
    assert rejection.offset is None or 0 <= rejection.offset <= len(data)
    assert file.bytes_read <= len(data)
    return rejection


@given(st.binary(max_size=2048))
@UNTIMED()
@example(b"")
def test_any_bytes(data: bytes) -> None:
    assert isinstance(judged(data), ImageError)
    judged(b".eif" + data)


@given(st.binary(max_size=600), st.integers(0, 33), NUMBERS, st.lists(NUMBERS, max_size=64))
@UNTIMED()
def test_any_header(tail: bytes, count: int, memory: int, table: list[int]) -> None:
    numbers = table + [0] * (64 - len(table))
    judged(HEADER.pack(b".eif", 4, 0, memory, memory, 0, count, *numbers, 0, 0) + tail)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), NUMBERS, st.binary(max_size=40))))
@UNTIMED()
def test_any_sections_with_tables_that_follow_their_claims(
    sections: list[tuple[int, int, int, bytes]],
) -> None:
    offsets, sizes, body = [0] * 64, [0] * 64, b""
    for index, (kind, flags, size, data) in enumerate(sections[:64]):
        offsets[index], sizes[index] = HEADER.size + len(body), size
        body += SECTION_HEAD.pack(kind, flags, size) + data
    table = (*offsets[:32], *sizes[:32])
    judged(HEADER.pack(b".eif", 4, 0, 0, 0, 0, len(sections), *table, 0, 0) + body)


@given(st.lists(st.tuples(st.integers(0, len(SIGNED) - 1), st.integers(0, 255)), max_size=4))
@UNTIMED(max_examples=300)
def test_any_mutation_of_a_signed_image(edits: list[tuple[int, int]]) -> None:
    data = bytearray(SIGNED)
    for place, value in edits:
        data[place] = value
    judged(with_crc(bytes(data)))


@given(st.integers(0, HEADER.size // 8), NUMBERS)
@UNTIMED()
def test_any_large_number_in_the_header(place: int, number: int) -> None:
    data = bytearray(SIGNED)
    struct.pack_into(">Q", data, 4 + 8 * place, number)
    judged(bytes(data))


@given(st.integers(0, len(SIGNED)), st.integers(0, len(SIGNED)), st.binary(max_size=32))
@UNTIMED()
def test_any_cut_and_insertion(start: int, end: int, inserted: bytes) -> None:
    judged(SIGNED[:start] + inserted + SIGNED[end:])


@given(st.binary(max_size=512))
@UNTIMED()
def test_any_signature_section(section: bytes) -> None:
    assert isinstance(judged(assemble([*PLAIN, (SectionKind.SIGNATURE, section)])), ImageError)


@given(st.binary(max_size=4), st.integers(0, len(SIGNATURE_DATA)))
@UNTIMED(max_examples=300)
def test_any_edit_of_the_signature_section(edit: bytes, place: int) -> None:
    section = SIGNATURE_DATA[:place] + edit + SIGNATURE_DATA[place + len(edit) :]
    judged(assemble([*PLAIN, (SectionKind.SIGNATURE, section)]))


@given(
    st.sampled_from(["signing_certificate", "signature"]),
    st.binary(min_size=1, max_size=3),
    st.integers(0, 1000),
)
@UNTIMED(max_examples=300)
def test_any_edit_inside_certificate_or_cose(field: str, edit: bytes, place: int) -> None:
    original = bytes(ENTRY[field])
    place %= len(original)
    edited = original[:place] + edit + original[place + len(edit) :]
    section = cbor2.dumps([ENTRY | {field: list(edited)}])
    judged(assemble([*PLAIN, (SectionKind.SIGNATURE, section)]))


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789.eE-aN\\u', max_size=60))
@UNTIMED()
def test_any_metadata(metadata: bytes | str) -> None:
    data = metadata if isinstance(metadata, bytes) else metadata.encode()
    image = judged(assemble([*PLAIN[:2], (SectionKind.METADATA, data)]))
    assert isinstance(image, EnclaveImage)


@given(st.data())
@UNTIMED()
def test_measurements_follow_the_formulas_for_any_order(data: st.DataObject) -> None:
    contents = st.binary(max_size=24)
    ramdisks = data.draw(st.lists(contents, max_size=5))
    others = [(SectionKind.CMDLINE, data.draw(contents)), (SectionKind.METADATA, b"{}")]
    sections = [(SectionKind.KERNEL, data.draw(contents))]
    sections += [(SectionKind.RAMDISK, ramdisk) for ramdisk in ramdisks]
    for other in others:
        sections.insert(data.draw(st.integers(0, len(sections))), other)

    boot, later, seen = b"", b"", 0
    for kind, content in sections:
        seen += kind is SectionKind.RAMDISK
        if kind is SectionKind.RAMDISK and seen > 1:
            later += content
        elif kind is not SectionKind.METADATA:
            boot += content
    whole = b"".join(content for kind, content in sections if kind is not SectionKind.METADATA)

    image = judged(assemble(sections))
    assert isinstance(image, EnclaveImage)
    for value, measured in ((image.pcr0, whole), (image.pcr1, boot), (image.pcr2, later)):
        inner = hashlib.sha384(measured).digest()
        assert value == hashlib.sha384(bytes(48) + inner).digest()


def peak_memory(file: Any) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):
            measure(file, ignore_crc=True)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_image() -> None:
    for kind in (SectionKind.RAMDISK, SectionKind.METADATA):
        size = 200 << 20
        start = bytearray(assemble([*PLAIN[:2], (SectionKind.RAMDISK, b"r"), (kind, b"")]))
        struct.pack_into(">Q", start, 0x11C + 3 * 8, size)
        struct.pack_into(">Q", start, len(start) - 8, size)
        assert peak_memory(Zeros(bytes(start), len(start) + size)) < 4 << 20


def test_memory_does_not_grow_with_a_claim() -> None:
    for number in (1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1):
        for place in (*range(0x08, 0x18, 8), *range(0x1C, 0x21C, 8), HEADER.size + 4):
            data = bytearray(SIGNED)
            struct.pack_into(">Q", data, place, number)
            assert peak_memory(io.BytesIO(data)) < 4 << 20


def test_memory_stays_small_for_the_largest_metadata_and_signature() -> None:
    lists = b'{"a": [' + b",".join([b"[]"] * 87_000) + b"]}"
    assert peak_memory(io.BytesIO(assemble([*PLAIN[:2], (SectionKind.METADATA, lists)]))) < 32 << 20
    for section in (b"\x81" * 32768, b"\x99\x7f\x00" + b"\x80" * 0x7F00, b"\xc1" * 32768):
        image = assemble([*PLAIN, (SectionKind.SIGNATURE, section)])
        assert peak_memory(io.BytesIO(image)) < 8 << 20
