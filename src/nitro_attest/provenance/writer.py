"""Statements of the measurements of an image file, to be signed where it is built."""

from __future__ import annotations

import hashlib
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nitro_attest.errors import InputError
from nitro_attest.limits import DEFAULT_IMAGE_BYTES
from nitro_attest.measurements.eif.image import EnclaveImage, measure
from nitro_attest.measurements.image_file import BinaryFile, opened
from nitro_attest.provenance.statement import HASH_ALGORITHM, PREDICATE_TYPE, STATEMENT_TYPE

_CHUNK_BYTES: Final = 1 << 20


def make_statement(
    path: str | os.PathLike[str],
    *,
    builder: Mapping[str, Any] | None = None,
    max_size: int = DEFAULT_IMAGE_BYTES,
) -> dict[str, Any]:
    """Measures an image file and states its measurements.

    The name and the version of the image are those in its metadata. The signature of the statement
    makes them the claim of the signer; in the image, nothing protects them (M-6).

    Args:
        path: The image file (EIF).
        builder: A JSON object that describes the builder; None to leave it out.
        max_size: Maximum size of the file in bytes.

    Returns:
        The statement, ready for ``json.dumps``. ``["predicate"]`` is the part that signers take
        which make the statement themselves.

    Raises:
        ImageError: ``eif.*``: as ``nitro_attest.measurements.measure``.
        InputError: ``input.expected``: as there, or the builder is not a mapping.

    Example:
        >>> from pathlib import Path
        >>> from nitro_attest.provenance import make_statement
        >>> from nitro_attest.testing.eif import build_eif
        >>> eif = build_eif(kernel=b"kernel", cmdline=b"quiet", ramdisks=[b"init", b"app"])
        >>> _ = Path("app.eif").write_bytes(eif)
        >>> statement = make_statement("app.eif", builder={"id": "https://ci.example/42"})
        >>> statement["subject"][0]["name"]
        'app.eif'
        >>> sorted(statement["predicate"]["pcrs"])
        ['0', '1', '2']
    """
    if builder is not None and not isinstance(builder, Mapping):
        raise InputError(
            "input.expected", f"builder: expected a mapping, found {reprlib.repr(builder)}"
        )
    try:
        if not Path(path).is_file():  # a pipe or a device could block forever
            raise InputError("input.expected", f"expected a regular file, found {path!r}")
        with Path(path).open("rb") as file:  # once, so that digests and PCRs are of the same file
            digest = image_digests(file, max_size)
            image = measure(file, max_size=max_size)
    except (OSError, TypeError, ValueError) as error:
        raise InputError("input.expected", f"the image cannot be opened: {error}") from error
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": Path(path).name, "digest": digest}],
        "predicateType": PREDICATE_TYPE,
        "predicate": _predicate(image, builder),
    }


def image_digests(
    source: str | os.PathLike[str] | BinaryFile, max_size: int = DEFAULT_IMAGE_BYTES
) -> dict[str, str]:
    """Computes the digests by which a statement names a file.

    Args:
        source: The file.
        max_size: Its maximum size in bytes.

    Returns:
        ``sha256`` and ``sha384`` as lower-case hex.

    Raises:
        ImageError: ``eif.too_large``.
        InputError: ``input.file``: the file cannot be read.
    """
    digests = {"sha256": hashlib.sha256(), "sha384": hashlib.sha384()}
    with opened(source, "eif", max_size) as image:
        buffer = memoryview(bytearray(min(_CHUNK_BYTES, image.size)))
        for offset in range(0, image.size, _CHUNK_BYTES):
            chunk = buffer[: min(_CHUNK_BYTES, image.size - offset)]
            image.fill(offset, chunk)
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def _predicate(image: EnclaveImage, builder: Mapping[str, Any] | None) -> dict[str, Any]:
    predicate: dict[str, Any] = {
        "hashAlgorithm": HASH_ALGORITHM,
        "pcrs": {str(index): value.hex() for index, value in image.measurements().items()},
    }
    if image.signature is not None:
        certificate = hashlib.sha256(image.signature.certificate).hexdigest()
        predicate["signingCertificate"] = {"sha256": certificate}
    if builder is not None:
        predicate["builder"] = dict(builder)
    metadata = image.unattested_metadata or {}
    names = {"name": metadata.get("ImageName"), "version": metadata.get("ImageVersion")}
    described = {key: value for key, value in names.items() if isinstance(value, str) and value}
    if described:
        predicate["image"] = described
    return predicate
