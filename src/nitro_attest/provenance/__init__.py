"""Signed statements of the measurements of an image: written after a build, verified before use.

Expected PCRs are only as trustworthy as the way they reach the verifier. A statement (in-toto
Statement v1) lists the PCRs of an image and is signed where the image is built: with a key, or by
Sigstore with the identity of the build.

Names are loaded when they are first used, so that writing a statement does not load the verifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names

if TYPE_CHECKING:
    from nitro_attest.provenance.identity import SigstoreIdentity as SigstoreIdentity
    from nitro_attest.provenance.key import SignerKey as SignerKey
    from nitro_attest.provenance.reader import Provenance as Provenance
    from nitro_attest.provenance.reader import read_provenance as read_provenance
    from nitro_attest.provenance.signer import Signer as Signer
    from nitro_attest.provenance.statement import PREDICATE_TYPE as PREDICATE_TYPE
    from nitro_attest.provenance.statement import Statement as Statement
    from nitro_attest.provenance.statement import Subject as Subject
    from nitro_attest.provenance.statement import (
        parse_unverified_statement as parse_unverified_statement,
    )
    from nitro_attest.provenance.writer import make_statement as make_statement

_NAMES = {
    "identity": ("SigstoreIdentity",),
    "key": ("SignerKey",),
    "reader": ("Provenance", "read_provenance"),
    "signer": ("Signer",),
    "statement": ("PREDICATE_TYPE", "Statement", "Subject", "parse_unverified_statement"),
    "writer": ("make_statement",),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # type checkers that saw __getattr__ would accept every name
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
