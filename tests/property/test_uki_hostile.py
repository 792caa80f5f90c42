"""Hostile PE images: any bytes give a result or an ImageError, within the file and in memory that
no claim in the file can raise."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from functools import partial
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostile_files import WatchedFile, Zeros
from nitro_attest.errors import ImageError, InputError
from nitro_attest.measurements import SecureBootVariables, UkiMeasurements, uki_measurements
from nitro_attest.testing.uki import (
    CERTIFICATE_ENTRY_OFFSET,
    COFF_OFFSET,
    OPTIONAL_OFFSET,
    build_pe,
    build_uki,
    signature_list,
)

UNTIMED = partial(settings, deadline=None)  # a slow machine is no fault of the reader
UKI = build_uki(trailing=b"trailing", certificate_table=b"signature")
TABLE_OFFSET = OPTIONAL_OFFSET + 240
LINUX_HEAD = TABLE_OFFSET + 5 * 40
KERNEL_OFFSET = UKI.index(build_pe([(".text", b"kernel")]))
INNER_HEADERS = range(KERNEL_OFFSET, KERNEL_OFFSET + 512)
NUMBERS = st.sampled_from(
    [0, 1, 8, 16, 40, 63, 64, 511, 512, 1024, len(UKI), 1 << 16, 1 << 31, (1 << 32) - 1]
) | st.integers(0, len(UKI) + 64)
# Where the headers have numbers: the DOS header's last, the COFF and optional headers, the table.
PLACES = st.sampled_from(
    [0x3C, *range(COFF_OFFSET, TABLE_OFFSET + 6 * 40, 2), *INNER_HEADERS[0x3C::2]]
)


def judged(data: bytes, version: int | None = None) -> UkiMeasurements | ImageError:
    """The outcome, after checking what must hold of any."""
    file = WatchedFile(data)
    try:
        return uki_measurements(file, systemd_stub_version=version)
    except ImageError as error:
        rejection = error
    finally:
        assert file.bytes_read <= 2 * len(data) + 8192  # both images, and the headers first
    assert rejection.code.startswith("pe.")
    assert rejection.offset is None or 0 <= rejection.offset <= len(data)
    if rejection.code == "pe.stub_version" and version is None:
        return judged(data, 252)
    return rejection


@given(st.binary(max_size=1024))
@UNTIMED()
@example(b"")
def test_any_bytes(data: bytes) -> None:
    assert isinstance(judged(data), ImageError)
    judged(b"MZ" + data)
    judged(UKI[:OPTIONAL_OFFSET] + data)


@given(st.lists(st.tuples(PLACES, NUMBERS), min_size=1, max_size=4))
@UNTIMED(max_examples=500)
def test_any_numbers_in_the_headers(edits: list[tuple[int, int]]) -> None:
    data = bytearray(UKI)
    for place, number in edits:
        struct.pack_into("<I", data, place, number)
    judged(bytes(data))


@given(
    st.lists(
        st.tuples(st.sampled_from([b".linux", b".sdmagic", b".text"]), NUMBERS, NUMBERS, NUMBERS),
        min_size=1,
        max_size=8,
    )
)
@UNTIMED(max_examples=300)
def test_any_section_table(sections: list[tuple[bytes, int, int, int]]) -> None:
    data = bytearray(UKI)
    struct.pack_into("<H", data, COFF_OFFSET + 6, len(sections))
    for index, (name, memory_size, size, offset) in enumerate(sections):
        head = (name, memory_size, 0, size, offset)
        struct.pack_into("<8sIIII", data, TABLE_OFFSET + 40 * index, *head)
    judged(bytes(data))


@given(NUMBERS, NUMBERS)
@UNTIMED()
def test_any_certificate_table(offset: int, size: int) -> None:
    data = bytearray(UKI)
    struct.pack_into("<II", data, CERTIFICATE_ENTRY_OFFSET, offset, size)
    judged(bytes(data))


@given(st.integers(0, len(UKI)), st.integers(0, len(UKI)), st.binary(max_size=32))
@UNTIMED()
def test_any_cut_and_insertion(start: int, end: int, inserted: bytes) -> None:
    judged(UKI[:start] + inserted + UKI[end:])


@given(st.integers(0, len(UKI) - 1), st.integers(1, 255))
@UNTIMED(max_examples=500)
def test_any_changed_byte_changes_the_digest_unless_it_is_left_out(place: int, flip: int) -> None:
    data = bytearray(UKI)
    data[place] ^= flip
    result = judged(bytes(data))
    if isinstance(result, UkiMeasurements):
        checksum = range(OPTIONAL_OFFSET + 64, OPTIONAL_OFFSET + 68)
        left_out = place in checksum or place >= len(UKI) - 16
        same = result.authenticode == uki_measurements(io.BytesIO(UKI)).authenticode
        assert same == left_out


@given(st.binary(max_size=300))
@UNTIMED()
def test_any_stub_magic(text: bytes) -> None:
    sections = [(".sdmagic", text), (".linux", build_pe([(".text", b"kernel")]))]
    assert isinstance(judged(build_pe(sections)), UkiMeasurements)


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255))))
@UNTIMED()
def test_any_variable(data: bytes, edits: list[tuple[int, int]]) -> None:
    edited = bytearray(signature_list(bytes(32), bytes(32)))
    for place, value in edits:
        edited[place] = value
    good = signature_list(b"certificate")
    for variable in (data, bytes(edited)):
        for name in ("pk", "kek", "db", "dbx"):
            with contextlib.suppress(InputError):
                SecureBootVariables(**{"pk": good, "kek": good, "db": good, name: variable})


def peak_memory(file: Any) -> int:
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):
            uki_measurements(file)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_image() -> None:
    size = 200 << 20
    unsigned = bytearray(build_uki())
    struct.pack_into("<I", unsigned, LINUX_HEAD + 8, size)
    struct.pack_into("<I", unsigned, LINUX_HEAD + 16, size)
    file = Zeros(bytes(unsigned), KERNEL_OFFSET + size)
    assert uki_measurements(file).kernel_authenticode is not None
    assert peak_memory(file) < 4 << 20


def test_memory_does_not_grow_with_a_claim() -> None:
    for place in range(0x3C, TABLE_OFFSET + 6 * 40, 2):
        data = bytearray(UKI)
        struct.pack_into("<I", data, place, 0xFFFFFFFF)
        assert peak_memory(io.BytesIO(data)) < 4 << 20
