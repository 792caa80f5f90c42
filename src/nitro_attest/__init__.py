"""Strict, fail-closed verification of AWS Nitro attestation documents.

    import nitro_attest

    attestation = nitro_attest.verify(document, policy={0: pcr0, 1: pcr1, 2: pcr2}, nonce=nonce)

Names are loaded at their first use, so that importing one part does not load the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names

if TYPE_CHECKING:
    from nitro_attest._internal.version import __version__ as __version__
    from nitro_attest.document_text import decode_document as decode_document
    from nitro_attest.errors import AttestationWarning as AttestationWarning
    from nitro_attest.errors import ChainError as ChainError
    from nitro_attest.errors import EnclaveError as EnclaveError
    from nitro_attest.errors import FormatError as FormatError
    from nitro_attest.errors import ImageError as ImageError
    from nitro_attest.errors import InputError as InputError
    from nitro_attest.errors import KmsError as KmsError
    from nitro_attest.errors import NitroAttestError as NitroAttestError
    from nitro_attest.errors import PolicyError as PolicyError
    from nitro_attest.errors import PolicyFailure as PolicyFailure
    from nitro_attest.errors import SignatureError as SignatureError
    from nitro_attest.freshness.challenge import Challenge as Challenge
    from nitro_attest.freshness.challenge import Challenger as Challenger
    from nitro_attest.freshness.challenge import ReplayGuard as ReplayGuard
    from nitro_attest.freshness.stores import MemoryStore as MemoryStore
    from nitro_attest.freshness.stores import SqliteStore as SqliteStore
    from nitro_attest.freshness.stores import Store as Store
    from nitro_attest.keys.public_key import load_public_key as load_public_key
    from nitro_attest.keys.seal import hpke_suite as hpke_suite
    from nitro_attest.keys.seal import seal_to as seal_to
    from nitro_attest.verification.attestation import Attestation as Attestation
    from nitro_attest.verification.attestation import NitroTpmAttestation as NitroTpmAttestation
    from nitro_attest.verification.batch import Outcome as Outcome
    from nitro_attest.verification.batch import Rejected as Rejected
    from nitro_attest.verification.batch import Request as Request
    from nitro_attest.verification.batch import Verified as Verified
    from nitro_attest.verification.core import Limits as Limits
    from nitro_attest.verification.crl import RevocationList as RevocationList
    from nitro_attest.verification.document import AttestationDocument as AttestationDocument
    from nitro_attest.verification.document import NitroTpmDocument as NitroTpmDocument
    from nitro_attest.verification.document import UnverifiedDocument as UnverifiedDocument
    from nitro_attest.verification.document import parse_unverified as parse_unverified
    from nitro_attest.verification.measurement_set import MeasurementSet as MeasurementSet
    from nitro_attest.verification.measurement_set import (
        NitroTpmMeasurementSet as NitroTpmMeasurementSet,
    )
    from nitro_attest.verification.policy import ANY_ENCLAVE as ANY_ENCLAVE
    from nitro_attest.verification.policy import ANY_INSTANCE as ANY_INSTANCE
    from nitro_attest.verification.policy import AnyEnclave as AnyEnclave
    from nitro_attest.verification.policy import AnyInstance as AnyInstance
    from nitro_attest.verification.policy import DocumentFacts as DocumentFacts
    from nitro_attest.verification.policy import Evaluation as Evaluation
    from nitro_attest.verification.policy import NitroTpmPolicy as NitroTpmPolicy
    from nitro_attest.verification.policy import Policy as Policy
    from nitro_attest.verification.policy import VerificationPolicy as VerificationPolicy
    from nitro_attest.verification.requirements import UNCHECKED as UNCHECKED
    from nitro_attest.verification.revocation import CrlNumberStore as CrlNumberStore
    from nitro_attest.verification.revocation import RevocationLists as RevocationLists
    from nitro_attest.verification.roots import TrustedRoots as TrustedRoots
    from nitro_attest.verification.verifier import NitroTpmVerifier as NitroTpmVerifier
    from nitro_attest.verification.verifier import Verifier as Verifier
    from nitro_attest.verification.verifier import verify as verify
    from nitro_attest.verification.verifier import verify_nitrotpm as verify_nitrotpm

_NAMES = {
    "_internal.version": ("__version__",),
    "document_text": ("decode_document",),
    "errors": (
        "AttestationWarning",
        "ChainError",
        "EnclaveError",
        "FormatError",
        "ImageError",
        "InputError",
        "KmsError",
        "NitroAttestError",
        "PolicyError",
        "PolicyFailure",
        "SignatureError",
    ),
    "freshness.challenge": ("Challenge", "Challenger", "ReplayGuard"),
    "freshness.stores": ("MemoryStore", "SqliteStore", "Store"),
    "keys.public_key": ("load_public_key",),
    "keys.seal": ("hpke_suite", "seal_to"),
    "verification.attestation": ("Attestation", "NitroTpmAttestation"),
    "verification.batch": ("Outcome", "Rejected", "Request", "Verified"),
    "verification.core": ("Limits",),
    "verification.crl": ("RevocationList",),
    "verification.document": (
        "AttestationDocument",
        "NitroTpmDocument",
        "UnverifiedDocument",
        "parse_unverified",
    ),
    "verification.measurement_set": ("MeasurementSet", "NitroTpmMeasurementSet"),
    "verification.policy": (
        "ANY_ENCLAVE",
        "ANY_INSTANCE",
        "AnyEnclave",
        "AnyInstance",
        "DocumentFacts",
        "Evaluation",
        "NitroTpmPolicy",
        "Policy",
        "VerificationPolicy",
    ),
    "verification.requirements": ("UNCHECKED",),
    "verification.revocation": ("CrlNumberStore", "RevocationLists"),
    "verification.roots": ("TrustedRoots",),
    "verification.verifier": ("NitroTpmVerifier", "Verifier", "verify", "verify_nitrotpm"),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # a __getattr__ that type checkers saw would make every misspelt name valid
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
