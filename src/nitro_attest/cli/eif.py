"""``nitro-attest eif``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from nitro_attest._internal.wording import plural
from nitro_attest.cli.image import max_size_option, measure_image
from nitro_attest.cli.options import Verb, json_option
from nitro_attest.cli.output import emit, reject, row, shown_name, to_json
from nitro_attest.errors import NitroAttestError
from nitro_attest.measurements.eif.image import EnclaveImage

_SHOWN_METADATA: Final = 200
"""Characters shown of a name or value; ``--json`` shows all of them."""


@click.command("eif", cls=Verb)
@click.argument("image_file", metavar="FILE")
@click.option(
    "--ignore-crc", is_flag=True, help="Measure a file with a wrong CRC-32, with a warning."
)
@max_size_option
@json_option()
def command(image_file: str, ignore_crc: bool, max_size: int, as_json: bool) -> int:
    """Measure an enclave image file: its sections, PCR0, PCR1, PCR2 and PCR8, and its signature.

    An enclave that runs FILE attests to these PCRs. No PCR measures the metadata: anyone who had
    the file can have changed them.
    """
    try:
        image = measure_image(image_file, ignore_crc=ignore_crc, max_size=max_size)
    except NitroAttestError as error:
        return reject(image_file, error, as_json)
    if as_json:
        emit([to_json(source=image_file, image=image.to_dict())])
    else:
        emit(_lines(image_file, image))
    return 0


def _lines(source: str, image: EnclaveImage) -> Iterator[str]:
    yield "MEASURED: an enclave that runs this image attests to these PCRs"
    yield row("image", source, shown_name)
    yield row(
        "format", f"version {image.version}, {image.architecture}, {plural(image.size, 'byte')}"
    )
    for index, value in image.measurements().items():
        yield row(f"PCR{index}", value.hex())
    yield from _signature_lines(image)
    for section in image.sections:
        place = f"{plural(section.size, 'byte')} at offset {section.data_offset}"
        yield row("section", f"{section.kind.name.lower()}, {place}")
    yield row("CRC-32", f"{image.crc32_computed:08x}")
    memory = plural(image.default_mem, "byte")
    yield row("defaults", f"{memory} of memory, {plural(image.default_cpus, 'CPU')}")
    yield from _metadata_lines(image.unattested_metadata)
    for warning in image.warnings:
        yield row("warning", f"{warning.code}: {warning.message}")


def _signature_lines(image: EnclaveImage) -> Iterator[str]:
    if image.signature is None:
        yield row("signature", "none: PCR8 will be zero")
        return
    signature = image.signature
    yield row("signature", f"valid, {signature.algorithm}; PCR8 identifies the certificate")
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
