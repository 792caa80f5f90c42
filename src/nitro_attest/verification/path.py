"""The certificate path: an ordered walk from a root that we hold down to the signing certificate.

The bundle is used in the order in which it came (X-3). Nothing is searched, so nothing can be made
slow: at most one signature check for each certificate of the bundle, whatever the input. No
certificate that came in a document ever becomes an anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import NoReturn
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nitro_attest._internal.frozen import Frozen
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


class CertificatePath(Frozen):
    """A verified path, times aside.

    Attributes:
        root: The trust anchor.
        certificates: Our copy of the root first, the signing certificate last.
        key: The signing certificate's key.
        chain: The library's view of the same, the signing certificate first.
        names: The common names of all below the root, "" where there is not exactly one.
        not_before_ms: When the last of them becomes valid, in milliseconds since 1970.
        not_after_ms: When the first of them expires, inclusive.
    """

    root: Root
    certificates: tuple[Certificate, ...]
    key: SigningKey
    chain: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    not_before_ms: int
    not_after_ms: int

    def __init__(self, root: Root, certificates: tuple[Certificate, ...]) -> None:
        self.__dict__.update(
            root=root,
            certificates=certificates,
            key=load_key(certificates[-1]),
            chain=tuple([certificate.parsed for certificate in reversed(certificates)]),
            names=tuple([certificate.common_name for certificate in certificates[1:]]),
            not_before_ms=max([certificate.not_before_ms for certificate in certificates]),
            not_after_ms=min([certificate.not_after_ms for certificate in certificates]),
        )

    @property
    def leaf(self) -> Certificate:
        """The signing certificate."""
        return self.certificates[-1]


class PathVerifier:
    """Walks paths, and remembers those that held.

    A path is remembered by the exact bytes of all its certificates, compared as values; so are its
    issuers, for a new signing certificate under them. Only what verified is kept: a failure raises,
    and the cache does not keep what raises. Times are not part of it: check_windows() judges them
    anew for every document. Safe to share by threads.

    Args:
        roots: The trust anchors.
        cache_size: How many paths, and how many rows of issuers, to remember; 0 for none.
        look_ahead: Whether known() will be asked; a path costs 5 us more then.
    """

    def __init__(self, roots: TrustedRoots, cache_size: int, *, look_ahead: bool = False) -> None:
        self._roots = roots
        self._look_ahead = look_ahead
        self._known: WeakValueDictionary[tuple[tuple[bytes, ...], bytes], CertificatePath] = (
            WeakValueDictionary()
        )
        self.issuers = lru_cache(cache_size)(self._walk_issuers)
        self.walk = lru_cache(cache_size)(self._walk)

    def _walk(self, cabundle: tuple[bytes, ...], certificate: bytes) -> CertificatePath:
        """Verifies the path from a trusted root to the signing certificate.

        Args:
            cabundle: DER of the issuers as in the document: root first.
            certificate: DER of the signing certificate.

        Raises:
            ChainError: A rule of X-1 to X-9 or X-12 to X-19 is broken; the code says which.
        """
        if certificate in cabundle:
            raise ChainError("chain.order", "the signing certificate stands in the cabundle itself")
        if len(set(cabundle)) != len(cabundle):
            raise ChainError("chain.loop", "a certificate stands twice in the cabundle")
        leaf = read_certificate(certificate, "the signing certificate")
        check_signer(leaf)
        root, issuers = self.issuers(cabundle)
        path = (*issuers, leaf)
        _check_link(issuers[-1], leaf, path, further_authorities=0)
        verified = CertificatePath(root, path)
        if self._look_ahead:
            self._known[cabundle, certificate] = verified
        return verified

    def known(self, cabundle: tuple[bytes, ...], certificate: bytes) -> CertificatePath | None:
        """The path of these certificates where it is remembered; verifies nothing."""
        return self._known.get((cabundle, certificate))

    def _walk_issuers(self, cabundle: tuple[bytes, ...]) -> tuple[Root, tuple[Certificate, ...]]:
        """The same for the issuers alone, down to the one that signs documents' certificates."""
        root = self._roots.find(cabundle[0])
        first = 0 if root is None else 1
        read = [_read_issuer(cabundle[at], at) for at in range(first, len(cabundle))]
        if root is None:
            _refuse_root(cabundle, self._roots)
        path = (root.certificate, *read)
        for position, (parent, child) in enumerate(pairwise(path)):
            _check_link(parent, child, path, further_authorities=len(path) - 1 - position)
        return root, path


def check_windows(path: CertificatePath, at_ms: int, skew_ms: int) -> None:
    """Checks that every certificate, the root included, is valid at a time (X-10).

    Args:
        path: The path.
        at_ms: The time in milliseconds since 1970. Fractions of a second count.
        skew_ms: How far this machine's clock may be behind; expiry has no such allowance.

    Raises:
        ChainError: ``cert.expired`` or ``cert.not_yet_valid``.
    """
    if path.not_before_ms - skew_ms <= at_ms <= path.not_after_ms:
        return
    outside = next(
        certificate
        for certificate in reversed(path.certificates)  # the leaf first: it is the first to expire
        if not certificate.not_before_ms - skew_ms <= at_ms <= certificate.not_after_ms
    )
    if at_ms > outside.not_after_ms:
        ago = timedelta(seconds=(at_ms - outside.not_after_ms) // 1000)
        raise ChainError(
            "cert.expired",
            f"{outside.label} expired at {from_milliseconds(outside.not_after_ms)} "
            f"({ago} before the verification time); attestation certificates live 3 hours, so "
            "ask the enclave for a new document, or judge an old one at its own time",
        )
    early = timedelta(seconds=(outside.not_before_ms - at_ms) // 1000)
    raise ChainError(
        "cert.not_yet_valid",
        f"{outside.label} is valid from {from_milliseconds(outside.not_before_ms)}; is this "
        f"machine's clock slow by {early}?",
    )


def _read_issuer(der: bytes, position: int) -> Certificate:
    role = "root" if position == 0 else "intermediate CA"
    certificate = read_certificate(der, f"certificate {position} ({role})")
    check_authority(certificate)
    return certificate


def _refuse_root(cabundle: Sequence[bytes], roots: TrustedRoots) -> NoReturn:
    if any(roots.find(der) for der in cabundle):
        raise ChainError(
            "chain.order",
            "the trusted root is not the first of the cabundle (expected order: root first)",
        )
    fingerprint = sha256(cabundle[0]).hexdigest()
    partition = next((name for name, pin in PINNED.items() if pin == fingerprint), None)
    known = (
        f"; it is the root of AWS partition {partition}: trust that partition if you mean to"
        if partition
        else ""
    )
    raise ChainError(
        "chain.untrusted_root",
        f"the path starts at a certificate with SHA-256 {fingerprint}, which is not a trusted "
        f"root{known}; trusted are {', '.join(root.name for root in roots)}",
    )


def _check_link(
    parent: Certificate, child: Certificate, path: Sequence[Certificate], further_authorities: int
) -> None:
    """One link (X-3, X-7, X-8, X-16, X-19), the cheap rules first.

    That the names are the same bytes (X-7) is the library's first check when it verifies the link.
    They are decoded here, for 25 us a name, only to explain a link that does not hold: where the
    certificates stand in a wrong order, that explains every other fault.
    """
    if not parent.parsed.subject.rdns:
        raise ChainError("chain.name", f"{parent.label} has no name, so it can be no issuer")
    fault = _path_length_fault(parent, further_authorities) or _key_identifier_fault(parent, child)
    if fault is not None:
        _check_names(parent, child, path)
        raise fault
    _check_signature(parent, child, path)


def _path_length_fault(parent: Certificate, further_authorities: int) -> ChainError | None:
    constraints = parent.extension(x509.BasicConstraints)
    allowed = constraints.value.path_length if constraints else None
    if allowed is None or further_authorities <= allowed:
        return None
    return ChainError(
        "cert.path_length",
        f"{parent.label} allows {allowed} CA below it; there are {further_authorities}",
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
        f"{child.label} names issuer key {claimed.value.key_identifier.hex()}; {parent.label} "
        f"has {actual.value.digest.hex()}",
    )


def _check_signature(parent: Certificate, child: Certificate, path: Sequence[Certificate]) -> None:
    """X-8. The one call that costs a curve operation."""
    try:
        child.parsed.verify_directly_issued_by(parent.parsed)
    except InvalidSignature as error:
        raise ChainError(
            "chain.signature", f"{child.label} was not signed by the key of {parent.label}"
        ) from error
    except Exception as error:
        _check_names(parent, child, path)
        # An algorithm inside the signed part that differs from the one outside, or a point that
        # does not lie on the curve.
        raise ChainError(
            "cert.algorithm", f"{child.label} under {parent.label}: {error}"
        ) from error


def _check_names(parent: Certificate, child: Certificate, path: Sequence[Certificate]) -> None:
    """X-7, and X-3 where the issuer is there but stands elsewhere. Compared as DER."""
    try:
        issuer = quietly(lambda parsed: parsed.issuer, child.parsed)
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
            "path (expected order: root first)",
        )
    raise ChainError(
        "chain.name",
        f"{child.label} names {issuer.rfc4514_string()!r} as its issuer; the one "
        f"before it is {parent.parsed.subject.rfc4514_string()!r}",
    )
