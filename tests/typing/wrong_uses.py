"""Uses of the public interface as type checkers see them; test_wrong_uses.py runs mypy over it.

Nothing imports this file. A line that ends in ``# E: code`` has an error of that code; no other
line has one.
"""

from datetime import timedelta
from pathlib import Path
from typing import Literal

import nitro_attest
from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    Attestation,
    AttestationDocument,
    DocumentFacts,
    Evaluation,
    MeasurementSet,
    NitroTpmAttestation,
    NitroTpmMeasurementSet,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Outcome,
    Policy,
    PolicyFailure,
    Rejected,
    Request,
    TrustedRoots,
    UnverifiedDocument,
    Verified,
    Verifier,
    load_public_key,
    parse_unverified,
    verify,
    verify_nitrotpm,
)
from nitro_attest.channel.bindings import (
    Binding,
    Bound,
    Dstack,
    Evervault,
    Nautilus,
    Nitriding,
    Oyster,
    Peer,
    Secp256k1Key,
    TlsCertificateDigest,
    TlsKey,
    TlsKeyDigest,
    TurnkeyApp,
    TurnkeyBoot,
)


def use(*values: object) -> None:
    """Takes what a line reads, so that it is no expression without effect."""


class SomeRegions:
    """A policy that a user writes."""

    kind: Literal["enclave"] = "enclave"
    max_age: timedelta | None = None
    require_nonce = False

    def evaluate(self, document: AttestationDocument, facts: DocumentFacts) -> Evaluation:
        if facts.region == "eu-central-1" and 0 in document.pcrs:
            return Evaluation()
        failure = PolicyFailure("policy.region", "another region")
        return Evaluation(failures=(failure,))


class NoPolicy:
    """Lacks evaluate()."""

    kind: Literal["enclave"] = "enclave"
    max_age: timedelta | None = None
    require_nonce = False


def misspelt_names(document: bytes) -> None:
    from nitro_attest import Verifer  # E: attr-defined
    from nitro_attest.enclave.client import atest  # E: attr-defined
    from nitro_attest.errors import PolicyErorr  # E: attr-defined
    from nitro_attest.kms.statements import statments  # E: attr-defined
    from nitro_attest.measurements import mesure  # E: attr-defined
    from nitro_attest.policy_files import load_polcy  # E: attr-defined
    from nitro_attest.testing import FakeNitr  # E: attr-defined

    use(Verifer, atest, PolicyErorr, statments, mesure, load_polcy, FakeNitr)
    nitro_attest.verfy(document)  # E: attr-defined
    try:
        nitro_attest.verify(document)
    except nitro_attest.PolicyErorr:  # E: attr-defined
        use()


def policies(document: bytes, enclave: Policy, instance: NitroTpmPolicy) -> None:
    Verifier(policy=ANY_ENCLAVE)
    Verifier(policy=enclave)
    Verifier(policy={0: "ab" * 48})
    Verifier(policy={"PCR0": "ab" * 48})
    Verifier(policy=SomeRegions())
    Verifier(policy=NoPolicy())  # E: arg-type
    Verifier(policy=ANY_INSTANCE)  # E: arg-type
    Verifier(policy=instance)  # E: arg-type
    Verifier(policy=None)  # E: arg-type
    Verifier()  # E: call-arg
    NitroTpmVerifier(policy=ANY_INSTANCE)
    NitroTpmVerifier(policy=instance)
    NitroTpmVerifier(policy=ANY_ENCLAVE)  # E: arg-type
    NitroTpmVerifier(policy=enclave)  # E: arg-type
    NitroTpmVerifier(policy=SomeRegions())  # E: arg-type
    NitroTpmVerifier(policy={0: "ab"})  # E: arg-type
    verify(document, policy=enclave)
    verify(document, policy=instance)  # E: arg-type
    verify_nitrotpm(document, policy=instance)
    verify_nitrotpm(document, policy=enclave)  # E: arg-type
    verify_nitrotpm(document, policy=Policy([{0: "ab" * 48}]))  # E: arg-type
    verify_nitrotpm(document, policy={4: "ab" * 48})  # E: arg-type


def measurement_sets(instance: NitroTpmMeasurementSet) -> None:
    Policy([{0: "ab" * 48}, MeasurementSet({0: bytes(48)}, name="v2")])
    Policy({0: "ab" * 48})  # E: arg-type
    Policy([instance])  # E: list-item
    NitroTpmPolicy([instance])
    NitroTpmPolicy([MeasurementSet({0: bytes(48)})])  # E: list-item


def roots(pem: bytes, document: bytes) -> None:
    Verifier(TrustedRoots.from_pem(pem), policy=ANY_ENCLAVE)
    Verifier(pem, policy=ANY_ENCLAVE)
    verify(document, TrustedRoots.from_pem(pem))
    verify(document, pem.decode())
    verify(document, Path("root.pem"))  # E: arg-type
    TrustedRoots.from_pem(Path("root.pem"))  # E: arg-type


def expectations(document: bytes) -> None:
    verify(document, nonce=b"32 bytes", max_age=timedelta(minutes=5))
    verify(document, nonce=None)  # E: arg-type
    verify(document, nonce="6e6f6e6365")  # E: arg-type
    verify(document, user_data=None)  # E: arg-type
    verify(document, max_age=300)  # E: arg-type
    verify(document, at="document")
    verify(document, at="yesterday")  # E: arg-type
    Request(document, nonce=None)  # E: arg-type


def results(document: bytes) -> None:
    unverified: UnverifiedDocument = parse_unverified(document)
    verified: AttestationDocument = verify(document).document
    attestation: Attestation = verify(document)
    instance: NitroTpmAttestation = verify_nitrotpm(document)
    use(attestation.pcrs[0].hex(), instance.nitrotpm_pcrs[4].hex())
    use(load_public_key(attestation), load_public_key(instance))
    use(attestation.nitrotpm_pcrs)  # E: attr-defined
    use(instance.pcrs)  # E: attr-defined
    attestation.matched = verified.module_id  # E: misc
    load_public_key(unverified)  # E: call-overload
    load_public_key(verified)  # E: call-overload
    load_public_key(attestation, "x448")  # E: call-overload
    use(load_public_key(attestation, "x25519").public_bytes_raw())
    use(load_public_key(instance, "p384").public_numbers())
    use(load_public_key(attestation, "p384").public_bytes_raw())  # E: attr-defined
    verify(unverified)  # E: arg-type
    SomeRegions().evaluate(unverified, DocumentFacts("", None, timedelta()))  # E: arg-type
    verified = unverified  # E: assignment
    attestation = unverified  # E: assignment
    attestation = instance  # E: assignment


def outcomes(documents: list[bytes]) -> None:
    outcome: Outcome[Attestation]
    for outcome in Verifier(policy=ANY_ENCLAVE).verify_many(documents):
        use(outcome.unwrap().pcrs)
        use(outcome.attestation.pcrs)  # E: union-attr
        use(outcome.error.code)  # E: union-attr
        if outcome.error is None:
            use(outcome.attestation.pcrs)
        else:
            use(outcome.error.code)
        match outcome:
            case Verified(attestation):
                use(attestation.pcrs)
            case Rejected(error):
                use(error.code)
    for other in NitroTpmVerifier(policy=ANY_INSTANCE).verify_many(documents):
        use(other.unwrap().nitrotpm_pcrs)
        use(other.unwrap().pcrs)  # E: attr-defined


class OwnBinding:
    """A binding that a user writes."""

    nonce_bytes = 16

    def target(self, nonce: bytes) -> str:
        return f"/{nonce.hex()}"

    def document(self, body: bytes) -> bytes:
        return body

    def check(self, attestation: Attestation, peer: Peer) -> Bound:
        return Bound("own", peer.public_key)


def connect(binding: Binding) -> None:
    """Takes bindings to a connection alone, as clients do."""
    use(binding)


def connection_bindings(attestation: Attestation, peer: Peer) -> None:
    connect(TlsKey())
    connect(TlsKeyDigest(field="user_data", path="/attestation"))
    connect(TlsCertificateDigest(field="public_key", path="/attestation"))
    connect(Nitriding())
    connect(Evervault())
    connect(OwnBinding())
    bound: Bound = Nitriding().check(attestation, peer)
    use(bound)
    Nitriding().check(attestation)  # E: call-arg
    TlsKeyDigest(field="nonce", path="/attestation")  # E: arg-type
    TlsKeyDigest(path="/attestation")  # E: call-arg
    peer.certificate = b""  # E: misc


def key_bindings(attestation: Attestation, peer: Peer, instance: NitroTpmAttestation) -> None:
    connect(Oyster("x25519"))  # E: arg-type
    connect(TurnkeyBoot(b"manifest"))  # E: arg-type
    connect(TurnkeyApp(TurnkeyBoot(b"manifest"), b"payload", bytes(64)))  # E: arg-type
    connect(Dstack(bytes(64)))  # E: arg-type
    connect(Nautilus())  # E: arg-type
    connect(Secp256k1Key())  # E: arg-type
    Nautilus().check(attestation).key.verify(b"signature", b"answer")
    use(Secp256k1Key().check(attestation).key.public_numbers())
    Nautilus().check(attestation, peer)  # E: call-arg
    bound: Bound = Nautilus().check(attestation)  # E: assignment
    use(bound)
    Nautilus().check(instance)  # E: arg-type
    Nautilus().check(attestation.document)  # E: arg-type
    Oyster("p256")  # E: arg-type
    use(Oyster("x25519").check(attestation).key.exchange)  # E: union-attr
