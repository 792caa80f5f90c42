"""Unified kernel images: worked values, the formulas of T-7, and rejected files."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from nitro_attest.errors import ImageError, InputError
from nitro_attest.limits import MAX_PE_SECTIONS
from nitro_attest.measurements import (
    SECURE_BOOT_OFF_PCR7,
    SEPARATOR_PCR,
    SecureBootVariables,
    UkiMeasurements,
    uki_measurements,
)
from nitro_attest.measurements.image_file import opened
from nitro_attest.measurements.uki.boot_events import boot_pcr4, boot_pcr7
from nitro_attest.measurements.uki.pe import authenticode_sha384, read_pe
from nitro_attest.testing.uki import (
    CERTIFICATE_ENTRY_OFFSET,
    CHECKSUM_OFFSET,
    COFF_OFFSET,
    OPTIONAL_OFFSET,
    X509_SIGNATURE,
    build_pe,
    build_uki,
    signature_list,
)
from nitro_attest.verification.measurement_set import NitroTpmMeasurementSet

FIXTURES = Path(__file__).parents[3] / "fixtures/vectors"
VECTORS: dict[str, Any] = json.loads((FIXTURES / "nitrotpm.json").read_text())
PCRS = {case["id"]: case["value"] for case in VECTORS["pcrs"]}
WORKED = VECTORS["uki"][0]

KERNEL = build_pe([(".text", b"kernel")])
UKI = build_uki()
SIGNED = build_uki(certificate_table=b"signature")
TABLE_OFFSET = OPTIONAL_OFFSET + 240
HEADERS_SIZE = 1024
LINUX_HEAD = TABLE_OFFSET + 5 * 40
E_LFANEW, SECTION_COUNT, OPTIONAL_SIZE = 0x3C, COFF_OFFSET + 6, COFF_OFFSET + 20
SIZE_OF_HEADERS, DIRECTORY_COUNT = OPTIONAL_OFFSET + 60, OPTIONAL_OFFSET + 108
MEMORY_SIZE, FILE_SIZE, FILE_OFFSET = 8, 16, 20

PK, KEK, DB = (signature_list(name) for name in (b"platform key", b"exchange key", b"signer"))
VARIABLES = SecureBootVariables(pk=PK, kek=KEK, db=DB)
GLOBAL = "61dfe48bca93d211aa0d00e098032b8c"
DATABASE = "cbb219d73a3d9645a3bcdad00e67656f"


def measured(image: bytes, **options: Any) -> UkiMeasurements:
    return uki_measurements(io.BytesIO(image), **options)


def digest(image: bytes) -> bytes:
    with opened(io.BytesIO(image), "pe") as file:
        return authenticode_sha384(file, read_pe(file, 0, file.size))


def rejected(image: bytes, code: str, offset: int | None, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as error:
        measured(image, **options)
    assert (error.value.code, error.value.offset) == (code, offset)
    return error.value


def patched(image: bytes, form: str, offset: int, *values: int) -> bytes:
    copy = bytearray(image)
    struct.pack_into(form, copy, offset, *values)
    return bytes(copy)


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def extended(*events: bytes) -> bytes:
    value = bytes(48)
    for event in events:
        value = sha384(value + sha384(event))
    return value


# Worked values


def test_t5_separator_worked_value() -> None:
    assert SEPARATOR_PCR.hex() == PCRS["separator-only"]


def test_t7_pcr7_worked_value_with_secure_boot_off() -> None:
    assert SECURE_BOOT_OFF_PCR7.hex() == PCRS["pcr7-secure-boot-off"]
    assert measured(UKI).pcr7 == SECURE_BOOT_OFF_PCR7
    assert not measured(UKI).secure_boot


def test_t5_policies_use_the_computed_value() -> None:
    assert boot_pcr7(None) == SECURE_BOOT_OFF_PCR7


def test_t7_pcr4_prefix_worked_value() -> None:
    assert boot_pcr4([]).hex() == PCRS["pcr4-prefix"]


@pytest.mark.parametrize("open_it", [Path, str, lambda path: io.BytesIO(path.read_bytes())])
def test_t7_worked_image(open_it: Callable[[Path], Any]) -> None:
    path = FIXTURES / WORKED["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == WORKED["file_sha256"]
    result = uki_measurements(open_it(path))
    assert result.authenticode.hex() == WORKED["authenticode"]
    assert result.kernel_authenticode is not None
    assert result.kernel_authenticode.hex() == WORKED["kernel_authenticode"]
    assert result.pcr4.hex() == WORKED["pcr4_kernel_measured"]
    assert result.systemd_stub_version == WORKED["systemd_stub_version"]
    under_secure_boot = uki_measurements(open_it(path), secure_boot=VARIABLES)
    assert under_secure_boot.pcr4.hex() == WORKED["pcr4_kernel_not_measured"]


def test_writer_reproduces_the_worked_image() -> None:
    image = build_uki(trailing=b"trailing", certificate_table=b"not a signature")
    assert image == (FIXTURES / WORKED["file"]).read_bytes()


# The Authenticode digest


def test_t7_digest_covers_all_but_checksum_certificate_entry_and_certificate_table() -> None:
    image = build_uki(trailing=b"12345678", certificate_table=b"signature")
    entry = CERTIFICATE_ENTRY_OFFSET
    covered = image[:CHECKSUM_OFFSET] + image[CHECKSUM_OFFSET + 4 : entry] + image[entry + 8 : -16]
    assert image[-24:-16] == b"12345678"
    assert digest(image) == sha384(covered)


def test_t7_signing_does_not_change_the_digest() -> None:
    unsigned = build_uki()
    assert digest(SIGNED) == digest(unsigned) != digest(unsigned + b"more")


def test_t7_without_a_certificate_directory_all_but_the_checksum_is_covered() -> None:
    image = build_pe([(".text", b"data")], directories=4)
    assert digest(image) == sha384(image[:CHECKSUM_OFFSET] + image[CHECKSUM_OFFSET + 4 :])


def test_t7_sections_are_hashed_in_file_order_not_table_order() -> None:
    image = build_pe([(".a", b"first"), (".b", b"second")])
    heads = image[TABLE_OFFSET : TABLE_OFFSET + 80]
    swapped = image[:TABLE_OFFSET] + heads[40:] + heads[:40] + image[TABLE_OFFSET + 80 :]
    entry = CERTIFICATE_ENTRY_OFFSET
    assert digest(swapped) == sha384(
        swapped[:CHECKSUM_OFFSET] + swapped[CHECKSUM_OFFSET + 4 : entry] + swapped[entry + 8 :]
    )


def test_t7_a_section_without_data_may_have_any_offset() -> None:
    image = build_pe([(".text", b"data"), (".bss", b"")])
    assert digest(patched(image, "<I", TABLE_OFFSET + 40 + FILE_OFFSET, 0xFFFFFFFF))


def test_t7_after_a_gap_the_rest_starts_at_the_sum_of_sizes() -> None:
    image = build_pe([(".a", b"a" * 512), (".b", b"b" * 512), (".c", b"c" * 512)])
    headers = 512
    gapped = patched(image, "<I", TABLE_OFFSET + 40 + FILE_SIZE, 0)
    entry = CERTIFICATE_ENTRY_OFFSET
    assert digest(gapped) == sha384(
        gapped[:CHECKSUM_OFFSET]
        + gapped[CHECKSUM_OFFSET + 4 : entry]
        + gapped[entry + 8 : headers]
        + b"a" * 512
        + b"c" * 512
        + gapped[headers + 1024 :]
    )


# PCR4


@pytest.mark.parametrize(
    ("version", "secure_boot", "kernel_is_measured"),
    [
        (252, None, True),
        (257, None, True),
        (258, None, False),
        (252, VARIABLES, False),
        (258, VARIABLES, False),
    ],
)
def test_t7_pcr4_holds_the_kernel_unless_the_stub_starts_it_unmeasured(
    version: int, secure_boot: SecureBootVariables | None, kernel_is_measured: bool
) -> None:
    image = build_uki(stub=f"systemd-stub {version}", certificate_table=b"signature")
    result = measured(image, secure_boot=secure_boot)
    value = extended(b"Calling EFI Application from Boot Option", bytes(4))
    value = sha384(value + digest(image))
    if kernel_is_measured:
        assert result.kernel_authenticode == digest(KERNEL)
        value = sha384(value + digest(KERNEL))
    else:
        assert result.kernel_authenticode is None
    assert result.pcr4 == value


def test_t7_padding_of_the_kernel_section_is_not_measured() -> None:
    image = build_uki(kernel=KERNEL + b"odd")
    assert measured(image).kernel_authenticode == digest(KERNEL + b"odd")


def test_t7_a_signed_kernel_is_measured_without_its_signature() -> None:
    signed_kernel = build_pe([(".text", b"kernel")], certificate_table=b"signature")
    assert measured(build_uki(kernel=signed_kernel)).kernel_authenticode == digest(KERNEL)


def test_t7_a_kernel_that_is_not_measured_need_not_be_a_pe_image() -> None:
    assert measured(build_uki(kernel=b"raw", stub="systemd-stub 258")).kernel_authenticode is None


def test_t7_a_kernel_that_is_not_a_pe_image_is_rejected_with_its_offset() -> None:
    for short in (b"raw", KERNEL[:63]):
        image = build_uki(kernel=short)
        rejected(image, "pe.truncated", image.rindex(short + b"\0") + len(short))
    image = build_uki(kernel=b"Z" * 64)
    rejected(image, "pe.magic", image.index(b"ZZZZ"))


@pytest.mark.parametrize("size", [0, 1 << 31])
def test_t7_a_kernel_with_inconsistent_sizes_is_rejected(size: int) -> None:
    image = patched(UKI, "<I", LINUX_HEAD + MEMORY_SIZE, size)
    rejected(image, "pe.sections", UKI.index(KERNEL))


def test_t7_no_kernel_is_rejected() -> None:
    rejected(build_pe([(".text", b"boot manager")]), "pe.not_uki", None)


def test_t7_two_kernels_are_rejected() -> None:
    image = build_pe([(".linux", KERNEL), (".linux", KERNEL)])
    rejected(image, "pe.section_twice", image.rindex(KERNEL), systemd_stub_version=258)


# The version of the stub


@pytest.mark.parametrize(
    ("stub", "version"),
    [
        ("systemd-stub 252.4-1161.amzn2023.0.6", 252),
        ("systemd-stub 252.39-1~deb12u2", 252),
        ("systemd-stub 255", 255),
        ("systemd-stub 258-1.fc43", 258),
    ],
)
def test_t7_version_in_the_image(stub: str, version: int) -> None:
    image = build_uki(stub=stub)
    assert measured(image).systemd_stub_version == version
    assert measured(image, systemd_stub_version=version) == measured(image)


@pytest.mark.parametrize(
    "stub",
    [
        "systemd-boot 257",
        "systemd-stub v257",
        "systemd-stub ",
        "systemd-stub 0257",
        "systemd-stub 25700",
        "systemd-stub 258~rc1",
        "systemd-stub 258-rc1",
        "systemd-stub 257\n",
        "systemd-stub 257" + "x" * 256,
    ],
)
def test_t7_an_uncertain_version_must_be_given(stub: str) -> None:
    image = build_uki(stub=stub)
    rejected(image, "pe.stub_version", image.index(b"#### "))
    assert measured(image, systemd_stub_version=252).systemd_stub_version == 252


def test_t7_a_version_before_252_is_rejected() -> None:
    image = build_uki(stub="systemd-stub 251")
    rejected(image, "pe.stub_version", image.index(b"#### "))
    rejected(image, "pe.stub_version", image.index(b"#### "), systemd_stub_version=252)


def test_t7_a_version_missing_from_the_image_must_be_given() -> None:
    rejected(build_uki(stub=None), "pe.stub_version", None)
    assert measured(build_uki(stub=None), systemd_stub_version=252).systemd_stub_version == 252


@pytest.mark.parametrize("version", [251, 0, -1, True, "257", 257.0])
def test_t7_an_invalid_version_is_rejected(version: Any) -> None:
    with pytest.raises(InputError) as error:
        measured(build_uki(stub=None), systemd_stub_version=version)
    assert error.value.code == "input.expected"


@pytest.mark.parametrize("version", [256, 258])
def test_t7_version_that_contradicts_the_image_is_rejected(version: int) -> None:
    with pytest.raises(InputError, match="systemd-stub 257") as error:
        measured(UKI, systemd_stub_version=version)
    assert error.value.code == "input.expected"


# PCR7 and PCR12


def variable(vendor: str, name: str, data: bytes) -> bytes:
    lengths = len(name).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    return bytes.fromhex(vendor) + lengths + name.encode("utf-16-le") + data


def test_t7_pcr7_with_secure_boot_on() -> None:
    dbx = signature_list(bytes(32), bytes(range(32)), kind=UUID(int=2))
    variables = SecureBootVariables(pk=PK, kek=KEK, db=DB, dbx=dbx)
    result = measured(SIGNED, secure_boot=variables)
    assert result.secure_boot
    assert result.pcr7 == extended(
        variable(GLOBAL, "SecureBoot", b"\1"),
        variable(GLOBAL, "PK", PK),
        variable(GLOBAL, "KEK", KEK),
        variable(DATABASE, "db", DB),
        variable(DATABASE, "dbx", dbx),
        bytes(4),
        variable(DATABASE, "db", DB[28:]),  # the authority: owner and certificate
    )
    assert result.pcr7 != measured(SIGNED, secure_boot=VARIABLES).pcr7


@pytest.mark.parametrize("secure_boot", [True, False, {}, {"pk": PK, "kek": KEK, "db": DB}, DB])
def test_t7_secure_boot_of_a_wrong_type_is_rejected(secure_boot: Any) -> None:
    with pytest.raises(InputError) as error:
        measured(SIGNED, secure_boot=secure_boot)
    assert error.value.code == "input.expected"


def test_t7_kek_and_dbx_may_be_absent() -> None:
    variables = SecureBootVariables(pk=PK, kek=b"", db=DB)
    assert measured(SIGNED, secure_boot=variables).secure_boot


def test_t7_an_unsigned_image_does_not_start_under_secure_boot() -> None:
    rejected(UKI, "pe.unsigned", None, secure_boot=VARIABLES)


def test_t7_secure_boot_without_a_platform_key_is_rejected() -> None:
    with pytest.raises(InputError, match="PK"):
        SecureBootVariables(pk=b"", kek=KEK, db=DB)


@pytest.mark.parametrize(
    "db",
    [
        b"",
        signature_list(b"one", b"two"),
        DB + DB,
        signature_list(bytes(32), kind=UUID("c1c41626-504c-4092-aca9-41f936934328")),
    ],
    ids=["absent", "two-in-a-list", "two-lists", "a-hash"],
)
def test_t7_a_db_without_exactly_one_certificate_is_rejected(db: bytes) -> None:
    with pytest.raises(InputError, match="exactly one"):
        SecureBootVariables(pk=PK, kek=KEK, db=db)


@pytest.mark.parametrize("name", ["pk", "kek", "db", "dbx"])
@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN CERTIFICATE-----\nMIIB",
        b"\x27\0\0\0" + DB,
        DB[:-1],
        DB + b"\0",
        patched(DB, "<I", 16, 28),
        patched(DB, "<I", 16, 0),
        patched(DB, "<I", 20, 1 << 31),
        patched(DB, "<I", 24, 0),
        patched(DB, "<I", 24, 16),
        patched(DB, "<I", 24, 20),
        signature_list(b""),
        "text",
        None,
    ],
)
def test_t7_a_malformed_variable_is_rejected(name: str, data: Any) -> None:
    with pytest.raises(InputError) as error:
        SecureBootVariables(**{"pk": PK, "kek": KEK, "db": DB, name: data})
    assert error.value.code == "input.expected"


def test_t7_pcr12_is_zero_without_overrides() -> None:
    assert measured(UKI).pcr12 == bytes(48)


# Results


def test_t6_the_result_has_the_form_of_the_reference_tool() -> None:
    result = measured(UKI)
    printed = json.loads(json.dumps(result.to_dict()))
    assert printed == {
        "Measurements": {
            "HashAlgorithm": "SHA384 { ... }",
            "PCR4": result.pcr4.hex(),
            "PCR7": result.pcr7.hex(),
            "PCR12": "00" * 48,
        }
    }
    assert result.measurements() == {4: result.pcr4, 7: result.pcr7, 12: bytes(48)}


def test_t6_the_result_is_a_measurement_set_of_an_instance() -> None:
    result = measured(UKI)
    named = NitroTpmMeasurementSet.from_named(result.to_dict()["Measurements"])
    assert named == NitroTpmMeasurementSet(result.measurements())
    assert named.weaknesses() == []


# Rejected files


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF" + bytes(60), UKI[:63]])
def test_t7_a_file_that_is_not_a_pe_image_is_rejected(data: bytes) -> None:
    short = len(data) < 64
    rejected(data, "pe.truncated" if short else "pe.magic", len(data) if short else 0)


def test_t7_a_wrong_offset_of_the_coff_header_is_rejected() -> None:
    for distance in (0, 4, 63):
        rejected(patched(UKI, "<I", E_LFANEW, distance), "pe.magic", 0)
    rejected(patched(UKI, "<I", E_LFANEW, 72), "pe.magic", 72)
    for distance in (len(UKI) - 23, len(UKI), 0xFFFFFFFF):
        rejected(patched(UKI, "<I", E_LFANEW, distance), "pe.truncated", len(UKI))


def test_t7_32_bit_image_is_rejected() -> None:
    rejected(patched(UKI, "<H", OPTIONAL_OFFSET, 0x10B), "pe.header", OPTIONAL_OFFSET)


@pytest.mark.parametrize(("size", "directories"), [(239, 16), (248, 16), (0, 16), (248, 17)])
def test_t7_an_optional_header_of_inconsistent_size_is_rejected(
    size: int, directories: int
) -> None:
    image = patched(UKI, "<H", OPTIONAL_SIZE, size)
    image = patched(image, "<I", DIRECTORY_COUNT, directories)
    rejected(image, "pe.header", OPTIONAL_OFFSET)


def test_t7_a_wrong_size_of_headers_is_rejected() -> None:
    table_end = TABLE_OFFSET + 6 * 40
    for size in (0, CHECKSUM_OFFSET, table_end - 1):
        rejected(patched(UKI, "<I", SIZE_OF_HEADERS, size), "pe.header", OPTIONAL_OFFSET)
    for size in (len(UKI) + 1, 0xFFFFFFFF):
        rejected(patched(UKI, "<I", SIZE_OF_HEADERS, size), "pe.truncated", len(UKI))
    assert measured(patched(UKI, "<I", SIZE_OF_HEADERS, table_end))


def test_t7_number_of_sections_is_bounded() -> None:
    most = [(".linux", KERNEL), *((".data", b"x") for _ in range(MAX_PE_SECTIONS - 1))]
    assert measured(build_pe(most), systemd_stub_version=252)
    more = build_pe([*most, (".data", b"x")])
    rejected(more, "pe.sections", COFF_OFFSET, systemd_stub_version=252)
    rejected(patched(UKI, "<H", SECTION_COUNT, 0), "pe.sections", COFF_OFFSET)
    rejected(patched(UKI, "<H", SECTION_COUNT, 90), "pe.header", OPTIONAL_OFFSET)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (FILE_OFFSET, 0),
        (FILE_OFFSET, HEADERS_SIZE - 1),
        (FILE_OFFSET, 0xFFFFFFFF),
        (FILE_SIZE, 0xFFFFFFFF),
        (FILE_SIZE, len(UKI)),
    ],
)
def test_t7_section_outside_its_bounds_is_rejected(field: int, value: int) -> None:
    rejected(patched(UKI, "<I", LINUX_HEAD + field, value), "pe.sections", LINUX_HEAD)


def test_t7_overlapping_sections_are_rejected() -> None:
    second = TABLE_OFFSET + 40 + FILE_OFFSET
    rejected(patched(UKI, "<I", second, HEADERS_SIZE), "pe.sections", HEADERS_SIZE)
    rejected(patched(UKI, "<I", second, HEADERS_SIZE + 511), "pe.sections", HEADERS_SIZE + 511)


def test_t7_section_inside_the_certificate_table_is_rejected() -> None:
    (size,) = struct.unpack_from("<I", SIGNED, LINUX_HEAD + FILE_SIZE)
    rejected(patched(SIGNED, "<I", LINUX_HEAD + FILE_SIZE, size + 1), "pe.sections", LINUX_HEAD)


@pytest.mark.parametrize(
    ("place", "size"),
    [
        (len(UKI), 8),
        (len(UKI), 24),
        (len(UKI) - 8, 16),
        (len(UKI) + 16, 0),
        (0, 16),
        (len(UKI), 0),
        (len(UKI) + 1, 15),
        (0xFFFFFFF8, 16),
        (0, 0xFFFFFFFF),
    ],
)
def test_t7_a_certificate_table_before_the_end_is_rejected(place: int, size: int) -> None:
    image = patched(SIGNED, "<II", CERTIFICATE_ENTRY_OFFSET, place, size)
    rejected(image, "pe.certificate_table", CERTIFICATE_ENTRY_OFFSET)


def test_t7_bytes_after_the_certificate_table_are_rejected() -> None:
    rejected(SIGNED + b"x", "pe.certificate_table", CERTIFICATE_ENTRY_OFFSET)


def test_t7_a_truncated_image_is_rejected_or_measured_as_it_is() -> None:
    for size in range(len(SIGNED)):
        with pytest.raises(ImageError):
            measured(SIGNED[:size])


def test_t7_a_file_that_shrinks_is_rejected_with_a_code_of_its_format() -> None:
    class Shrinking(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            return 0 if self.tell() >= HEADERS_SIZE else super().readinto(buffer)

    with pytest.raises(ImageError) as error:
        uki_measurements(Shrinking(UKI), systemd_stub_version=257)
    assert error.value.code == "pe.truncated"


def test_x509_signature_type_is_the_one_of_uefi() -> None:
    assert DB[:16].hex() == "a159c0a5e494a74a87b5ab155c2bf072" == X509_SIGNATURE.bytes_le.hex()
