"""Strict, fail-closed verification of AWS Nitro attestation documents.

    import nitro_attest

    attestation = nitro_attest.verify(document, policy={0: pcr0, 1: pcr1, 2: pcr2}, nonce=nonce)

Names are loaded at their first use, so that importing one part does not load the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nitro_attest._core import Limits
    from nitro_attest.attestation import Attestation, NitroTpmAttestation
    from nitro_attest.challenge import Challenge, Challenger, ReplayGuard
    from nitro_attest.document import (
        AttestationDocument,
        NitroTpmDocument,
        UnverifiedDocument,
        parse_unverified,
    )
    from nitro_attest.errors import (
        ChainError,
        EnclaveError,
        FormatError,
        ImageError,
        InputError,
        KmsError,
        NitroAttestError,
        Notice,
        PolicyError,
        PolicyFailure,
        SignatureError,
    )
    from nitro_attest.many import Outcome, Request
    from nitro_attest.measurement_set import MeasurementSet, NitroTpmMeasurementSet
    from nitro_attest.policy import (
        ANY_ENCLAVE,
        ANY_INSTANCE,
        AnyEnclave,
        AnyInstance,
        NitroTpmPolicy,
        Policy,
    )
    from nitro_attest.requirements import UNCHECKED
    from nitro_attest.roots import TrustedRoots
    from nitro_attest.seal import hpke_suite, seal_to
    from nitro_attest.stores import MemoryStore, SqliteStore, Store
    from nitro_attest.verifier import Verifier, verify, verify_nitrotpm

_HOMES = {
    "Limits": "_core",
    "Attestation": "attestation",
    "NitroTpmAttestation": "attestation",
    "Challenge": "challenge",
    "Challenger": "challenge",
    "ReplayGuard": "challenge",
    "AttestationDocument": "document",
    "NitroTpmDocument": "document",
    "UnverifiedDocument": "document",
    "parse_unverified": "document",
    "ChainError": "errors",
    "EnclaveError": "errors",
    "FormatError": "errors",
    "ImageError": "errors",
    "InputError": "errors",
    "KmsError": "errors",
    "NitroAttestError": "errors",
    "PolicyError": "errors",
    "PolicyFailure": "errors",
    "SignatureError": "errors",
    "Outcome": "many",
    "Request": "many",
    "ANY_ENCLAVE": "policy",
    "ANY_INSTANCE": "policy",
    "NitroTpmPolicy": "policy",
    "UNCHECKED": "requirements",
    "AnyEnclave": "policy",
    "AnyInstance": "policy",
    "MeasurementSet": "measurement_set",
    "NitroTpmMeasurementSet": "measurement_set",
    "Notice": "errors",
    "Policy": "policy",
    "TrustedRoots": "roots",
    "hpke_suite": "seal",
    "seal_to": "seal",
    "MemoryStore": "stores",
    "SqliteStore": "stores",
    "Store": "stores",
    "Verifier": "verifier",
    "verify": "verifier",
    "verify_nitrotpm": "verifier",
}

__all__ = [
    "ANY_ENCLAVE",
    "ANY_INSTANCE",
    "UNCHECKED",
    "AnyEnclave",
    "AnyInstance",
    "Attestation",
    "AttestationDocument",
    "ChainError",
    "Challenge",
    "Challenger",
    "EnclaveError",
    "FormatError",
    "ImageError",
    "InputError",
    "KmsError",
    "Limits",
    "MeasurementSet",
    "MemoryStore",
    "NitroAttestError",
    "NitroTpmAttestation",
    "NitroTpmDocument",
    "NitroTpmMeasurementSet",
    "NitroTpmPolicy",
    "Notice",
    "Outcome",
    "Policy",
    "PolicyError",
    "PolicyFailure",
    "ReplayGuard",
    "Request",
    "SignatureError",
    "SqliteStore",
    "Store",
    "TrustedRoots",
    "UnverifiedDocument",
    "Verifier",
    "hpke_suite",
    "parse_unverified",
    "seal_to",
    "verify",
    "verify_nitrotpm",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nitro-attest")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
