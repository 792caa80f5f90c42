"""Trust anchors: the roots that ship with the package, and the caller's own."""

from __future__ import annotations

import functools
import hashlib
import pkgutil
from binascii import a2b_base64
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nitro_attest._internal.frozen import Frozen
from nitro_attest._internal.quiet import quietly
from nitro_attest.errors import ChainError, InputError
from nitro_attest.verification.certificate import (
    Certificate,
    check_authority,
    read_certificate,
)

PINNED: Final = {
    "aws": "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    "aws-us-gov": "20bcd30a3e168ea03789e1c45912bc123c4de3c977b8a6e1c125c7929d668b3b",
}
"""SHA-256 of the DER of each root that ships, by AWS partition.

``aws``: the commercial root G1, as the EC2 user guide prints it. ``aws-us-gov``: computed over the
certificate that the AWS GovCloud (US) user guide prints.
"""

_ZIP_SHA256: Final = "8cf60e2b2efca96c6a9e71e851d00c1b6991cc09eadbe64a6a1d1b1eb9faff7c"


class Root(Frozen):
    """One trust anchor: our own copy, never one that came in a document.

    Attributes:
        name: The AWS partition for a pinned root, else ``custom:`` and 16 hex digits of ``sha256``.
        sha256: Fingerprint of the DER, lower-case hex.
        der: The certificate.
        certificate: The same, read and checked.
    """

    name: str
    sha256: str
    der: bytes
    certificate: Certificate

    def __init__(self, name: str, sha256: str, der: bytes, certificate: Certificate) -> None:
        self.__dict__.update(name=name, sha256=sha256, der=der, certificate=certificate)

    def __repr__(self) -> str:
        return f"<Root {self.name}>"

    @property
    def pinned(self) -> bool:
        """Whether it is one of the AWS roots that ship with the package."""
        return self.name in PINNED


class _Shipped:
    """A pinned root as an attribute of TrustedRoots, read at its first use."""

    def __init__(self, partition: str) -> None:
        self._partition = partition

    def __get__(self, instance: object, owner: type[TrustedRoots]) -> TrustedRoots:
        return TrustedRoots.from_partition(self._partition)


class TrustedRoots:
    """An immutable set of trust anchors.

    Made by ``from_pem``, ``from_partition``, ``from_sha256``, or as ``TrustedRoots.AWS`` (the
    commercial partition) and ``TrustedRoots.AWS_US_GOV``; two sets are joined by ``|``.
    """

    AWS: Final = _Shipped("aws")
    AWS_US_GOV: Final = _Shipped("aws-us-gov")

    __slots__ = ("_roots",)

    def __init__(self, *roots: Root) -> None:
        self._roots = {root.der: root for root in roots}

    @classmethod
    def from_pem(cls, pem: bytes | str) -> TrustedRoots:
        """The caller's own root.

        Args:
            pem: Exactly one PEM certificate: a self-signed CA under rules X-8, X-9, X-14, X-15.

        Raises:
            InputError: ``input.root``: not that.
        """
        if isinstance(pem, str):
            pem = pem.encode(errors="replace")  # what is not ASCII is no PEM
        if not isinstance(pem, bytes):
            raise InputError("input.root", f"the root is {type(pem).__name__}; PEM was expected")
        return cls(_root_from_pem(pem))

    @classmethod
    def from_partition(cls, partition: str) -> TrustedRoots:
        """The root of an AWS partition, ``aws`` or ``aws-us-gov``, as it ships with the package.

        Raises:
            InputError: ``input.root``: no root of that partition ships; AWS publishes others to
                their users, who pass them to ``from_pem``.
        """
        if partition not in PINNED:
            raise InputError(
                "input.root",
                f"no root ships for partition {partition!r}; known are {', '.join(PINNED)}. "
                "Pass the partition's root certificate as PEM instead",
            )
        return cls(_shipped_root(partition))

    @classmethod
    def from_sha256(cls, fingerprint: str) -> TrustedRoots:
        """The shipped root that has this fingerprint.

        Args:
            fingerprint: SHA-256 of the root's DER: 64 hex digits, colons allowed.

        Raises:
            InputError: ``input.root``: no shipped root has it, or it is the fingerprint of the ZIP
                file that AWS publishes the root in.
        """
        wanted = fingerprint.replace(":", "").lower()
        for partition, sha256 in PINNED.items():
            if wanted == sha256:
                return cls.from_partition(partition)
        hint = (
            "this is the SHA-256 of the ZIP file in which AWS publishes the root, not of the root "
            f"certificate; that is {PINNED['aws']}"
            if wanted == _ZIP_SHA256
            else "no root with this fingerprint ships; pass the certificate itself as PEM"
        )
        raise InputError("input.root", hint)

    def find(self, der: bytes) -> Root | None:
        """The trusted root that is byte for byte this certificate."""
        return self._roots.get(der)

    def __or__(self, other: TrustedRoots) -> TrustedRoots:
        return TrustedRoots(*self, *other)

    def __iter__(self) -> Iterator[Root]:
        return iter(self._roots.values())

    def __repr__(self) -> str:
        return f"<TrustedRoots {', '.join(root.name for root in self)}>"


@functools.cache
def _shipped_root(partition: str) -> Root:
    # importlib.resources took 5 ms to import, and what the library needs to give DER for PEM, 8 ms.
    # The file is ours, and held against its fingerprint.
    try:
        pem = pkgutil.get_data(__package__, f"aws_roots/{partition}.pem") or b""
        der = a2b_base64(b"".join(pem.splitlines()[1:-1]))
    except (OSError, ValueError):
        der = b""
    if hashlib.sha256(der).hexdigest() != PINNED[partition]:
        raise InputError(
            "input.root",
            f"the installed root of partition {partition} is not the certificate with SHA-256 "
            f"{PINNED[partition]}; this installation has been altered",
        )
    return _root(der)


@functools.lru_cache(maxsize=16)
def _root_from_pem(pem: bytes) -> Root:
    """Checked once for each PEM: verify() is often called with the same root again."""
    if not isinstance(pem, bytes) or b"-----BEGIN CERTIFICATE-----" not in pem:
        raise InputError(
            "input.root",
            "the root is not a PEM certificate, which begins with -----BEGIN CERTIFICATE-----; "
            "give that of a trusted root (in Python the content of the file, not its path)",
        )
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = quietly(x509.load_pem_x509_certificates, pem)
    except Exception as error:
        raise InputError("input.root", f"the root cannot be read: {error}") from error
    if len(certificates) != 1:
        raise InputError(
            "input.root",
            f"{len(certificates)} certificates were given as root; exactly one was expected",
        )
    return _root(certificates[0].public_bytes(Encoding.DER))


def _root(der: bytes) -> Root:
    sha256 = hashlib.sha256(der).hexdigest()
    name = next((n for n, pin in PINNED.items() if pin == sha256), f"custom:{sha256[:16]}")
    return Root(name, sha256, der, _read_self_signed(der))


def _read_self_signed(der: bytes) -> Certificate:
    """X-8 for the root itself, checked once here and never again for a document."""
    try:
        certificate = read_certificate(der, "certificate 0 (root)")
        check_authority(certificate)
        certificate.parsed.verify_directly_issued_by(certificate.parsed)
    except ChainError as error:
        raise InputError("input.root", f"not usable as a root: {error.message}") from error
    except (ValueError, InvalidSignature) as error:
        raise InputError("input.root", "not usable as a root: it is not self-signed") from error
    return certificate
