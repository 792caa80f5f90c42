"""Trusted roots: those that ship with the package, and the caller's own."""

from __future__ import annotations

import functools
import hashlib
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.values import rebuilt
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

__all__ = ["PINNED", "Root", "TrustedRoots"]

_ZIP_SHA256: Final = "8cf60e2b2efca96c6a9e71e851d00c1b6991cc09eadbe64a6a1d1b1eb9faff7c"


@dataclass(frozen=True, slots=True, repr=False)
class Root:
    """One trusted root: our own copy, never one from a document.

    Attributes:
        name: The AWS partition of a pinned root, else ``custom:`` and 16 hex digits of ``sha256``.
        sha256: Fingerprint of the DER, lower-case hex.
        der: The certificate.
        certificate: The same, loaded and checked.
    """

    name: str
    sha256: str
    der: bytes
    certificate: Certificate = field(compare=False)

    def __repr__(self) -> str:
        return f"<Root {self.name}>"

    @property
    def pinned(self) -> bool:
        """True for the AWS roots that ship with the package."""
        return PINNED.get(self.name) == self.sha256


class _Shipped:
    """A pinned root as an attribute of TrustedRoots, loaded at its first use."""

    def __init__(self, partition: str) -> None:
        self._partition = partition

    def __get__(self, instance: object, owner: type[TrustedRoots]) -> TrustedRoots:
        return TrustedRoots.from_partition(self._partition)


@rebuilt
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrustedRoots:
    """An immutable set of trusted roots.

    Made by ``from_pem``, ``from_ders``, ``from_partition`` or ``from_sha256``, or as
    ``TrustedRoots.AWS`` (the commercial partition) and ``TrustedRoots.AWS_US_GOV``; ``|`` joins two
    sets. Can be pickled; the copy is checked again.

    Example:
        >>> TrustedRoots.AWS | TrustedRoots.from_pem(root_pem)
        <TrustedRoots aws, custom:...>
    """

    AWS = _Shipped("aws")
    AWS_US_GOV = _Shipped("aws-us-gov")

    _roots: tuple[Root, ...]

    def __post_init__(self) -> None:
        if type(self._roots) is not tuple or not all(isinstance(r, Root) for r in self._roots):
            raise InputError(
                "input.root", "trusted roots: expected a tuple of Root; use from_pem() for PEM"
            )

    @classmethod
    def from_ders(cls, *ders: bytes) -> TrustedRoots:
        """Trusts several roots given as DER, each checked as by ``from_pem``.

        Args:
            *ders: The certificates.

        Returns:
            The set.

        Raises:
            InputError: ``input.root``.
        """
        for der in ders:
            if not isinstance(der, bytes):
                raise InputError(
                    "input.root", f"trusted root: expected DER as bytes, found {type(der).__name__}"
                )
        return cls(tuple([_root(bytes(memoryview(der))) for der in ders]))

    @classmethod
    def from_pem(cls, pem: bytes | str) -> TrustedRoots:
        """Trusts the caller's own root.

        Example:
            >>> TrustedRoots.from_pem(root_pem)
            <TrustedRoots custom:...>

        Args:
            pem: Exactly one PEM certificate: a self-signed CA under rules X-8, X-9, X-14, X-15.

        Returns:
            The set of that one root.

        Raises:
            InputError: ``input.root``: the argument is not such a certificate.
        """
        if isinstance(pem, str):
            pem = pem.encode(errors="replace")  # text that is not ASCII is not PEM
        if not isinstance(pem, bytes):
            raise InputError(
                "input.root", f"trusted root: expected PEM, found {type(pem).__name__}"
            )
        return cls((_root_from_pem(pem),))

    @classmethod
    def from_partition(cls, partition: str) -> TrustedRoots:
        """Trusts the root of an AWS partition as it ships with the package.

        Args:
            partition: ``aws`` or ``aws-us-gov``.

        Returns:
            The set of that one root.

        Raises:
            InputError: ``input.root``: no root of that partition ships; obtain it from AWS and
                pass it to ``from_pem``.
        """
        if not isinstance(partition, str) or partition not in PINNED:
            raise InputError(
                "input.root",
                f"partition: expected {' or '.join(PINNED)}, found {partition!r}; pass the root "
                "certificate of another partition as PEM",
            )
        return cls((_shipped_root(partition),))

    @classmethod
    def from_sha256(cls, fingerprint: str) -> TrustedRoots:
        """Trusts the shipped root that has this fingerprint.

        Args:
            fingerprint: SHA-256 of the root's DER: 64 hex digits, colons allowed.

        Returns:
            The set of that one root.

        Raises:
            InputError: ``input.root``: no shipped root has it, or it is the fingerprint of the ZIP
                file that AWS publishes the root in.
        """
        if not isinstance(fingerprint, str):
            raise InputError(
                "input.root",
                f"fingerprint: expected 64 hex digits, found {type(fingerprint).__name__}",
            )
        wanted = fingerprint.replace(":", "").lower()
        for partition, sha256 in PINNED.items():
            if wanted == sha256:
                return cls.from_partition(partition)
        hint = (
            "this is the SHA-256 of the ZIP file in which AWS publishes the root; that of the root "
            f"certificate is {PINNED['aws']}"
            if wanted == _ZIP_SHA256
            else "no shipped root has this fingerprint; pass the certificate itself as PEM"
        )
        raise InputError("input.root", hint)

    def find(self, der: bytes) -> Root | None:
        """Looks up a certificate.

        Args:
            der: The certificate as DER.

        Returns:
            The trusted root with exactly these bytes, or None.
        """
        return next((root for root in self._roots if root.der == der), None)

    def __or__(self, other: TrustedRoots) -> TrustedRoots:
        if not isinstance(other, TrustedRoots):
            return NotImplemented
        return TrustedRoots(tuple(dict.fromkeys((*self, *other))))

    def __iter__(self) -> Iterator[Root]:
        return iter(self._roots)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustedRoots) and frozenset(self) == frozenset(other)

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def __reduce__(self) -> tuple[Callable[..., TrustedRoots], tuple[bytes, ...]]:
        return TrustedRoots.from_ders, tuple([root.der for root in self])

    def __repr__(self) -> str:
        return f"<TrustedRoots {', '.join(root.name for root in self)}>"


def as_trusted_roots(roots: bytes | str | TrustedRoots | None) -> TrustedRoots:
    """Converts the ``roots`` argument: PEM, a set, or None for the AWS root.

    Raises:
        InputError: ``input.root``.
    """
    if roots is None:
        return TrustedRoots.AWS
    if not isinstance(roots, TrustedRoots):
        return TrustedRoots.from_pem(roots)
    if not tuple(roots):
        raise InputError("input.root", "trusted roots: expected at least one root, found none")
    return roots


@functools.cache
def _shipped_root(partition: str) -> Root:
    # importlib.resources takes 5 ms to import, pathlib 1 ms, and the cryptography package's PEM
    # reader 8 ms. The file is ours, and compared with its fingerprint.
    folder = __file__.rpartition("/")[0]
    try:
        with FileIO(f"{folder}/aws_roots/{partition}.pem") as file:
            pem = file.readall()
        der = a2b_base64(b"".join(pem.splitlines()[1:-1]))
    except (OSError, ValueError):
        der = b""
    if hashlib.sha256(der).hexdigest() != PINNED[partition]:
        raise InputError(
            "input.root",
            f"the installed root of partition {partition} is not the certificate with SHA-256 "
            f"{PINNED[partition]}; the installation has been altered: reinstall nitro-attest",
        )
    return _root(der)


@functools.lru_cache(maxsize=16)
def _root_from_pem(pem: bytes) -> Root:
    """Loads a PEM root, and caches it: verify() is often called with the same root."""
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        hint = "" if b"\n" in pem else "; pass the content of the file, not its path"
        raise InputError(
            "input.root",
            "trusted root: expected a PEM certificate, which begins with -----BEGIN "
            f"CERTIFICATE-----{hint}",
        )
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = quietly(x509.load_pem_x509_certificates, pem)
    except Exception as error:
        raise InputError(
            "input.root", "trusted root: the content of the PEM block is not a certificate"
        ) from error
    if len(certificates) != 1:
        raise InputError(
            "input.root",
            f"trusted root: expected exactly one certificate, found {len(certificates)}",
        )
    return _root(certificates[0].public_bytes(Encoding.DER))


def _root(der: bytes) -> Root:
    sha256 = hashlib.sha256(der).hexdigest()
    name = next((n for n, pin in PINNED.items() if pin == sha256), f"custom:{sha256[:16]}")
    return Root(name, sha256, der, _read_self_signed(der))


def _read_self_signed(der: bytes) -> Certificate:
    """Checks X-8 for the root itself, once rather than for each document."""
    try:
        certificate = read_certificate(der, "certificate 0 (root)")
        check_authority(certificate)
        certificate.parsed.verify_directly_issued_by(certificate.parsed)
    except ChainError as error:
        raise InputError("input.root", f"unusable as a trusted root: {error.message}") from error
    except (ValueError, InvalidSignature) as error:
        raise InputError("input.root", "unusable as a trusted root: not self-signed") from error
    return certificate
