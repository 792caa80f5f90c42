"""PCR4 and PCR7 of an EC2 instance, from the events that its firmware measures (T-7).

Firmware extends a PCR by the SHA-384 of each event, so a PCR is the ``replay`` of digests. Only
events before the start of an operating system can be computed here.

Sources: TCG PC Client Platform Firmware Profile (PFP) 3.3.4.5 and 3.3.4.8; UEFI Specification
32.4.1, Signature Database; github.com/aws/NitroTPM-Tools.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from nitro_attest._internal.pcrs import SECURE_BOOT_OFF_PCR7
from nitro_attest.errors import InputError
from nitro_attest.measurements.pcr import replay

__all__ = [
    "SECURE_BOOT_OFF_PCR7",
    "SEPARATOR_PCR",
    "SecureBootVariables",
    "boot_pcr4",
    "boot_pcr7",
]

_SEPARATOR: Final = bytes(4)
"""The event that ends the firmware's own measurements into PCR0 to PCR7."""
_BOOT_ATTEMPT: Final = b"Calling EFI Application from Boot Option"

_GLOBAL_VARIABLE: Final = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_IMAGE_SECURITY_DATABASE: Final = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_X509_SIGNATURE: Final = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_SIGNATURE_LIST: Final = struct.Struct("<16sIII")
"""Type, size of the list including this head, size of a second head, size of each entry."""
_OWNER_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class SecureBootVariables:
    """The UEFI variables of an instance with Secure Boot on, as bytes; empty means absent.

    Each variable is a sequence of EFI_SIGNATURE_LIST: the content of an ``.esl`` file (not
    ``.auth``, PEM or DER), without the 4 bytes that efivarfs puts in front.

    ``db`` must have exactly one entry, an X.509 certificate. Firmware also measures the entry of
    ``db`` that verified the image, and no specification determines which of several entries that
    is.

    Attributes:
        pk: The platform key; not empty, because Secure Boot is off without one.
        kek: The key exchange keys.
        db: The allowed signers.
        dbx: The forbidden signers and images.

    Raises:
        InputError: ``input.expected``: a variable does not have this form.
    """

    pk: bytes
    kek: bytes
    db: bytes
    dbx: bytes = b""

    def __post_init__(self) -> None:
        for name in ("pk", "kek", "db", "dbx"):
            _signatures(name, getattr(self, name))
        if not self.pk:
            raise InputError(
                "input.expected",
                "PK is empty, so Secure Boot is off; pass secure_boot=None for such an instance",
            )
        entries = _signatures("db", self.db)
        if [kind for kind, _ in entries] != [_X509_SIGNATURE.bytes_le]:
            raise InputError(
                "input.expected",
                "expected exactly one entry in db, an X.509 certificate; with others it is "
                "undetermined which entry firmware measures into PCR7 (number of entries found: "
                f"{len(entries)})",
            )

    @property
    def authority(self) -> bytes:
        """The only entry of ``db``: owner and certificate, as firmware measures it."""
        return _signatures("db", self.db)[0][1]


def boot_pcr4(images: Iterable[bytes]) -> bytes:
    """Computes PCR4 of an instance whose firmware and boot stub start the given images (T-7).

    Args:
        images: Authenticode digests (SHA-384, 48 bytes) of the images, in the order of their start.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: a digest is not bytes.
    """
    return replay([*map(_sha384, (_BOOT_ATTEMPT, _SEPARATOR)), *images])


def boot_pcr7(secure_boot: SecureBootVariables | None) -> bytes:
    """Computes PCR7 of an instance (T-5, T-7).

    Args:
        secure_boot: The variables. None: Secure Boot is off and all of them are absent.

    Returns:
        The PCR, 48 bytes.

    Raises:
        InputError: ``input.expected``: neither SecureBootVariables nor None.
    """
    if not isinstance(secure_boot, (SecureBootVariables, type(None))):
        raise InputError(
            "input.expected",
            "expected secure_boot to be SecureBootVariables or None, found "
            f"{type(secure_boot).__name__}",
        )
    pk, kek, db, dbx = (
        (secure_boot.pk, secure_boot.kek, secure_boot.db, secure_boot.dbx)
        if secure_boot is not None
        else (b"", b"", b"", b"")
    )
    events = [
        _variable(_GLOBAL_VARIABLE, "SecureBoot", bytes([secure_boot is not None])),
        _variable(_GLOBAL_VARIABLE, "PK", pk),
        _variable(_GLOBAL_VARIABLE, "KEK", kek),
        _variable(_IMAGE_SECURITY_DATABASE, "db", db),
        _variable(_IMAGE_SECURITY_DATABASE, "dbx", dbx),
        _SEPARATOR,
    ]
    if secure_boot is not None:
        events.append(_variable(_IMAGE_SECURITY_DATABASE, "db", secure_boot.authority))
    return replay(map(_sha384, events))


def _sha384(event: bytes) -> bytes:
    return hashlib.sha384(event).digest()


def _variable(vendor: UUID, name: str, data: bytes) -> bytes:
    """Encodes the event of a variable, UEFI_VARIABLE_DATA of PFP (lengths: characters, bytes)."""
    lengths = struct.pack("<QQ", len(name), len(data))
    return vendor.bytes_le + lengths + name.encode("utf-16-le") + data


def _signatures(variable: str, data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns type and content (owner, data) of each entry in a sequence of EFI_SIGNATURE_LIST."""
    if not isinstance(data, bytes):
        raise InputError(
            "input.expected", f"expected {variable} to be bytes, found {type(data).__name__}"
        )
    entries = []
    offset = 0
    while offset < len(data):
        head = data[offset : offset + _SIGNATURE_LIST.size]
        if len(head) < _SIGNATURE_LIST.size:
            raise _malformed(variable, offset)
        kind, list_bytes, head_bytes, entry_bytes = _SIGNATURE_LIST.unpack(head)
        first, end = offset + _SIGNATURE_LIST.size + head_bytes, offset + list_bytes
        if not first < end <= len(data):
            raise _malformed(variable, offset)
        if entry_bytes <= _OWNER_BYTES or (end - first) % entry_bytes:
            raise _malformed(variable, offset)
        entries += [(kind, data[at : at + entry_bytes]) for at in range(first, end, entry_bytes)]
        offset = end
    return entries


def _malformed(variable: str, offset: int) -> InputError:
    return InputError(
        "input.expected",
        f"expected {variable} to be a sequence of EFI_SIGNATURE_LIST (an .esl file)",
        offset,
    )


SEPARATOR_PCR: Final = replay([_sha384(_SEPARATOR)])
"""PCR2, PCR3 and PCR6 of every instance, into which only the separator is measured (T-5)."""
