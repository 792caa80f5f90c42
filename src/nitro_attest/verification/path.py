"""Certificate paths: an ordered walk from a trusted root down to the signing certificate.

The cabundle is used in the order of the document (X-3). There is no search, so no input can make it
slow: at most one signature check per certificate. No certificate from a document is ever trusted
as a root.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import sha256
from itertools import pairwise
from operator import attrgetter
from typing import Final
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nitro_attest._internal.quiet import quietly
from nitro_attest._internal.times import from_milliseconds
from nitro_attest.errors import ChainError
from nitro_attest.verification.certificate import (
    Certificate,
    SigningKey,
    check_authority,
    check_signer,
    load_key,
    read_certificate,
)
from nitro_attest.verification.roots import PINNED, Root, TrustedRoots


@dataclass(frozen=True, eq=False, repr=False)
class CertificatePath:
    """A verified certificate path; its times are checked separately, by ``check_windows``.

    Attributes:
        root: The trusted root.
        certificates: Our copy of the root first, the signing certificate last.
        key: The signing certificate's key.
    """

    __slots__ = ("__weakref__", "certificates", "key", "root")

    root: Root
    certificates: tuple[Certificate, ...]
    key: SigningKey

    @property
    def leaf(self) -> Certificate:
        """The signing certificate."""
        return self.certificates[-1]

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates as ``x509.Certificate``, the signing certificate first."""
        return tuple([certificate.parsed for certificate in reversed(self.certificates)])

    @property
    def names(self) -> tuple[str, ...]:
        """The common names below the root, "" where there is not exactly one."""
        return tuple([certificate.common_name for certificate in self.certificates[1:]])


LinkCheck = Callable[[Certificate, Certificate], bool]
"""Confirms that the first certificate issued the second; False leaves it to ``cryptography``."""

_SIGNER: Final = "the signing certificate"

_READ_AHEAD: Final = 256
"""Certificates that are kept between ``read_ahead`` and ``verify``: several batches of them."""

_Issuers = tuple[Root, tuple[Certificate, ...]]
_Read = Callable[[bytes, str], Certificate]
_KnownPaths = WeakValueDictionary[tuple[tuple[bytes, ...], bytes | None], CertificatePath]


class PathVerifier:
    """Verifies certificate paths and caches those that it accepted. Thread-safe.

    The cache key is the exact bytes of all certificates. The issuers are also cached alone, for a
    new signing certificate under them. Failures are not cached. Times are not part of a path:
    ``check_windows`` checks them for every document.

    Args:
        roots: The trusted roots.
        cache_size: The number of paths, and of lists of issuers, to cache; 0 for none.
        confirms: An accelerator's check of links; None: ``cryptography`` checks all of them.
        look_ahead: Prepare for calls of ``known`` and ``read_ahead``, which otherwise cost more.
    """

    def __init__(
        self,
        roots: TrustedRoots,
        cache_size: int,
        confirms: LinkCheck | None = None,
        *,
        look_ahead: bool = False,
    ) -> None:
        # The cached functions do not refer to self: only the garbage collector could free that.
        self._roots = roots
        self._known: _KnownPaths = WeakValueDictionary()
        self._read: _Read = read_certificate
        if look_ahead:
            self._read = lru_cache(_READ_AHEAD)(read_certificate)
        self.issuers = lru_cache(cache_size)(partial(_walk_issuers, self._read, roots, confirms))
        known = self._known if look_ahead else None
        self.paths = lru_cache(cache_size)(
            partial(_walk, self._read, self.issuers, known, confirms)
        )

    def verify(self, cabundle: tuple[bytes, ...], certificate: bytes) -> CertificatePath:
        """Verifies the path from a trusted root to the signing certificate.

        Args:
            cabundle: DER of the issuers as in the document: root first.
            certificate: DER of the signing certificate.

        Returns:
            The path.

        Raises:
            ChainError: A rule of X-1 to X-9 or X-12 to X-19 is violated; the code names it.
        """
        return self.paths(cabundle, certificate)

    def known(self, cabundle: tuple[bytes, ...], certificate: bytes) -> CertificatePath | None:
        """Returns the path of these certificates if it is remembered; verifies nothing."""
        return self._known.get((cabundle, certificate))

    def read_ahead(
        self, cabundle: tuple[bytes, ...], certificate: bytes
    ) -> tuple[Certificate, ...]:
        """Reads the certificates whose links ``verify`` will check; verifies nothing.

        Returns:
            The certificates, issuers first: the last issuer and the signing certificate if a path
            with the same issuers is remembered. () if ``verify`` will reject them unchecked.
        """
        root = self._roots.find(cabundle[0])
        if root is None:
            return ()
        sibling = self._known.get((cabundle, None))
        try:
            leaf = self._read(certificate, _SIGNER)
            if sibling is not None:
                return sibling.certificates[-2], leaf
            positions = range(1, len(cabundle))
            issuers = [_read_issuer(self._read, cabundle[at], at) for at in positions]
        except ChainError:
            return ()
        return root.certificate, *issuers, leaf


def _walk(
    read: _Read,
    walk_issuers: Callable[[tuple[bytes, ...]], _Issuers],
    known: _KnownPaths | None,
    confirms: LinkCheck | None,
    cabundle: tuple[bytes, ...],
    certificate: bytes,
) -> CertificatePath:
    if certificate in cabundle:
        raise ChainError("chain.order", "the signing certificate is also in the cabundle")
    if len(set(cabundle)) != len(cabundle):
        raise ChainError("chain.loop", "a certificate is in the cabundle twice")
    leaf = read(certificate, _SIGNER)
    check_signer(leaf)
    root, issuers = walk_issuers(cabundle)
    certificates = (*issuers, leaf)
    _check_link(issuers[-1], leaf, certificates, confirms, further_authorities=0)
    path = CertificatePath(root, certificates, load_key(leaf))
    if known is not None:
        known[cabundle, certificate] = known[cabundle, None] = path
    return path


def _walk_issuers(
    read: _Read, roots: TrustedRoots, confirms: LinkCheck | None, cabundle: tuple[bytes, ...]
) -> _Issuers:
    """Verifies the issuers alone, down to the one that issues signing certificates."""
    root = roots.find(cabundle[0])
    first = 0 if root is None else 1
    issuers = [_read_issuer(read, cabundle[at], at) for at in range(first, len(cabundle))]
    if root is None:
        raise _untrusted_root(cabundle, roots)
    path = (root.certificate, *issuers)
    for position, (parent, child) in enumerate(pairwise(path)):
        further_authorities = len(path) - 1 - position
        _check_link(parent, child, path, confirms, further_authorities=further_authorities)
    return root, path


def check_windows(path: CertificatePath, at_ms: int, skew_ms: int) -> None:
    """Checks that every certificate, the root included, is valid at a time (X-10).

    Args:
        path: The path.
        at_ms: The time in milliseconds since 1970. Fractions of a second count.
        skew_ms: Milliseconds that this machine's clock may be slow; not applied to expiry.

    Raises:
        ChainError: ``cert.expired`` or ``cert.not_yet_valid``.
    """
    for certificate in reversed(path.certificates):  # the signing certificate expires first
        if at_ms > certificate.not_after_ms:
            ago = timedelta(seconds=(at_ms - certificate.not_after_ms) // 1000)
            raise ChainError(
                "cert.expired",
                f"{certificate.label} expired at {from_milliseconds(certificate.not_after_ms)}, "
                f"{ago} before the verification time; request a new document (signing "
                "certificates are valid for 3 hours), or verify an archived one as of its own "
                "timestamp",
            )
        if at_ms < certificate.not_before_ms - skew_ms:
            early = timedelta(seconds=(certificate.not_before_ms - at_ms) // 1000)
            raise ChainError(
                "cert.not_yet_valid",
                f"{certificate.label} is valid from "
                f"{from_milliseconds(certificate.not_before_ms)}, {early} after the verification "
                "time; check this machine's clock",
            )


def _read_issuer(read: _Read, der: bytes, position: int) -> Certificate:
    role = "root" if position == 0 else "intermediate CA"
    certificate = read(der, f"certificate {position} ({role})")
    check_authority(certificate)
    return certificate


def _untrusted_root(cabundle: Sequence[bytes], roots: TrustedRoots) -> ChainError:
    if any(roots.find(der) for der in cabundle):
        return ChainError("chain.order", "the trusted root is not first: expected the root first")
    fingerprint = sha256(cabundle[0]).hexdigest()
    partition = next((name for name, pin in PINNED.items() if pin == fingerprint), None)
    known = f"; it is the root of AWS partition {partition}" if partition else ""
    return ChainError(
        "chain.untrusted_root",
        f"the chain starts at an untrusted root (SHA-256 {fingerprint}){known}; trusted roots: "
        f"{', '.join(root.name for root in roots)}",
    )


def _check_link(
    parent: Certificate,
    child: Certificate,
    path: Sequence[Certificate],
    confirms: LinkCheck | None,
    *,
    further_authorities: int,
) -> None:
    """Checks one link (X-3, X-7, X-8, X-16, X-19), the cheap rules first.

    The cryptography package compares the names as bytes (X-7) before it verifies the signature.
    They are decoded here, at 25 us a name, only after a failure: a wrong order of the certificates
    causes all the other faults, so it is reported first.
    """
    if not parent.parsed.subject.rdns:
        raise ChainError("chain.name", f"{parent.label} has no name, so it cannot be an issuer")
    fault = _path_length_fault(parent, further_authorities) or _key_identifier_fault(parent, child)
    if fault is not None:
        _check_names(parent, child, path)
        raise fault
    if confirms is None or not confirms(parent, child):
        _check_signature(parent, child, path)


def _path_length_fault(parent: Certificate, further_authorities: int) -> ChainError | None:
    constraints = parent.extension(x509.BasicConstraints)
    allowed = constraints.value.path_length if constraints else None
    if allowed is None or further_authorities <= allowed:
        return None
    return ChainError(
        "cert.path_length",
        f"{parent.label}: expected at most {allowed} CA certificates below it, found "
        f"{further_authorities}",
    )


def _key_identifier_fault(parent: Certificate, child: Certificate) -> ChainError | None:
    claimed = child.extension(x509.AuthorityKeyIdentifier)
    actual = parent.extension(x509.SubjectKeyIdentifier)
    if claimed is None or actual is None or claimed.value.key_identifier is None:
        return None
    if claimed.value.key_identifier == actual.value.digest:
        return None
    return ChainError(
        "chain.key_id",
        f"{child.label}: expected the issuer key {actual.value.digest.hex()} of {parent.label}, "
        f"found {claimed.value.key_identifier.hex()}",
    )


def _check_signature(parent: Certificate, child: Certificate, path: Sequence[Certificate]) -> None:
    """Checks X-8. The only curve operation of the walk."""
    try:
        child.parsed.verify_directly_issued_by(parent.parsed)
    except InvalidSignature as error:
        raise ChainError(
            "chain.signature", f"{child.label} was not signed by the key of {parent.label}"
        ) from error
    except Exception as error:
        _check_names(parent, child, path)
        # The algorithm inside the TBSCertificate differs from the one outside, or the point is
        # not on the curve.
        raise ChainError(
            "cert.algorithm", f"{child.label} under {parent.label}: {error}"
        ) from error


def _check_names(parent: Certificate, child: Certificate, path: Sequence[Certificate]) -> None:
    """Checks X-7, and X-3 if the issuer is elsewhere in the path. Names are compared as DER."""
    try:
        issuer = quietly(attrgetter("issuer"), child.parsed)
        wanted = issuer.public_bytes()
    except Exception as error:
        raise ChainError(
            "cert.malformed", f"the issuer of {child.label} cannot be read: {error}"
        ) from error
    if wanted == parent.parsed.subject.public_bytes():
        return
    others = (other for other in path if other is not child)
    if any(other.parsed.subject.public_bytes() == wanted for other in others):
        raise ChainError(
            "chain.order",
            f"{child.label} was not issued by {parent.label} but by another certificate of the "
            "path: expected the root first and each issuer before its subject",
        )
    raise ChainError(
        "chain.name",
        f"issuer of {child.label}: expected {parent.parsed.subject.rfc4514_string()!r}, found "
        f"{issuer.rfc4514_string()!r}",
    )
