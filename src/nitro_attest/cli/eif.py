"""``nitro-attest eif``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from nitro_attest.cli.image import measure_image
from nitro_attest.cli.output import emit, refuse, row, to_json
from nitro_attest.errors import NitroAttestError
from nitro_attest.measurements.eif.image import EnclaveImage

_SHOWN_METADATA: Final = 200
"""Characters of a name or value; ``--json`` shows all of them."""


@click.command("eif")
@click.argument("image_file", metavar="FILE")
@click.option("--ignore-crc", is_flag=True, help="Measure a file whose CRC-32 is wrong, and warn.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(image_file: str, ignore_crc: bool, as_json: bool) -> int:
    """Measure an enclave image file: its sections, PCR0, PCR1, PCR2 and PCR8, and its signature.

    These are the PCRs that an enclave attests to that runs FILE. The metadata are not measured:
    whoever handed over the file can have written them.
    """
    try:
        image = measure_image(image_file, ignore_crc=ignore_crc)
    except NitroAttestError as error:
        return refuse(image_file, error, as_json)
    if as_json:
        emit([to_json(source=image_file, image=image.to_dict())])
    else:
        emit(_lines(image_file, image))
    return 0


def _lines(source: str, image: EnclaveImage) -> Iterator[str]:
    yield "MEASURED: an enclave that runs this image attests to these PCRs"
    yield row("image", source)
    yield row("format", f"version {image.version}, {image.architecture}, {image.size} bytes")
    for index, value in image.measurements().items():
        yield row(f"PCR{index}", value.hex())
    yield from _signature_lines(image)
    for section in image.sections:
        place = f"{section.size} bytes at offset {section.data_offset}"
        yield row("section", f"{section.kind.name.lower()}, {place}")
    yield row("CRC-32", f"{image.crc32_computed:08x}")
    yield row("defaults", f"{image.default_mem} bytes of memory, {image.default_cpus} CPUs")
    yield from _metadata_lines(image.unattested_metadata)
    for notice in image.warnings:
        yield row("warning", f"{notice.code}: {notice.message}")


def _signature_lines(image: EnclaveImage) -> Iterator[str]:
    if image.signature is None:
        yield row("signature", "none: PCR8 will be zero")
        return
    signature = image.signature
    yield row("signature", f"holds, {signature.algorithm}; PCR8 says whose key it is")
    validity = f"{signature.not_before.isoformat()} to {signature.not_after.isoformat()}"
    yield row("signed by", f"{signature.subject} ({validity}), not verified")


def _metadata_lines(metadata: Mapping[str, Any] | None) -> Iterator[str]:
    if metadata is None:
        yield row("unattested", "no metadata")
        return
    for name, value in metadata.items():
        yield row("unattested", f"{_clipped(name)}: {_clipped(json.dumps(value))}")


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN_METADATA else f"{text[:_SHOWN_METADATA]}..."
