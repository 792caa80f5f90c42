"""The interface of accelerators, and the claims that they may confirm.

A claim is that a P-384 key made a signature of a digest. An accelerator is trusted to be right when
it confirms one. The following keeps everything else independent of it:

- It confirms a ``SignatureClaim`` by its exact values, and only by returning True. After any
  other answer, or an exception, ``cryptography`` decides: ``check_with_cryptography`` for a
  document, ``verify_directly_issued_by`` for a link, which is a certificate and its issuer.
- The claim of a link is made only if everything else that ``verify_directly_issued_by`` checks
  holds: the issuer is named as the parent's subject is, DER for DER; the algorithm is ECDSA with
  SHA-384, both in the signed bytes and outside; ``cryptography`` has loaded the parent's key, so
  its point is on the curve; r and s are in the range that C-14 requires in a document. Names and
  algorithm are read from the bytes whose digest the claim has.
- All other rules of a path and of a document are checked as without an accelerator, in the same
  order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha384
from itertools import pairwise, starmap

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import SignatureAlgorithmOID

from nitro_attest.errors import ChainError
from nitro_attest.limits import SIGNATURE_BYTES
from nitro_attest.verification.certificate import (
    ECDSA_WITH_SHA384,
    Certificate,
    load_key,
    signed_fields,
)
from nitro_attest.verification.signature import (
    P384_ORDER,
    SignatureClaim,
    check_with_cryptography,
)


class Accelerator(ABC):
    """Confirms signatures; a subclass calls one library."""

    lanes: int = 1
    """Number of signatures that one call checks; 1: ``prepare`` is not needed."""

    @abstractmethod
    def confirm(self, claim: SignatureClaim) -> bool:
        """Returns True if the library confirms the claim; may raise any exception."""

    @abstractmethod
    def prepare(self, claims: Iterable[SignatureClaim]) -> None:
        """Checks claims ahead, for ``confirm`` in the same thread until the next call."""

    def check(self, claim: SignatureClaim) -> bool:
        """Verifies the claim of a document: by the library, or else by ``cryptography``."""
        return self._confirms(claim) or check_with_cryptography(claim)

    def confirms_link(self, parent: Certificate, child: Certificate) -> bool:
        """Confirms that one certificate issued another; False leaves it to ``cryptography``."""
        claim = link_claim(parent, child)
        return claim is not None and self._confirms(claim)

    def link_claims(self, certificates: Iterable[Certificate]) -> Iterator[SignatureClaim]:
        """Returns the claims of the links between these certificates, issuers first."""
        return filter(None, starmap(link_claim, pairwise(certificates)))

    def _confirms(self, claim: SignatureClaim) -> bool:
        with suppress(Exception):  # whatever the library raises, it has not confirmed the claim
            return self.confirm(claim) is True
        return False


def link_claim(parent: Certificate, child: Certificate) -> SignatureClaim | None:
    """Returns the claim that a certificate was signed by its parent's key (X-7, X-8, X-9).

    Args:
        parent: The certificate that may be the issuer.
        child: The other one. ``read_certificate`` has checked that the algorithm before the
            signature ends as that of ECDSA with SHA-384 does.

    Returns:
        The claim; None if the names, the algorithms, the signature or the parent's key rule it out.
    """
    tbs = child.parsed.tbs_certificate_bytes
    signed, issuing = signed_fields(tbs), signed_fields(parent.parsed.tbs_certificate_bytes)
    if signed.issuer != issuing.subject or signed.algorithm != ECDSA_WITH_SHA384:
        return None
    if child.parsed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
        return None
    half = SIGNATURE_BYTES // 2
    try:
        r, s = decode_dss_signature(child.parsed.signature)
        if not (0 < r < P384_ORDER and 0 < s < P384_ORDER):
            return None
        signature = r.to_bytes(half, "big") + s.to_bytes(half, "big")
        return SignatureClaim(load_key(parent), signature, sha384(tbs).digest())
    except (ValueError, ChainError):
        return None
