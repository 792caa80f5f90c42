"""Values can be pickled, hashed, compared and copied; results cannot; no reference cycles."""

import copy
import dataclasses
import gc
import pickle
from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    UNCHECKED,
    AnyEnclave,
    AnyInstance,
    Attestation,
    ChainError,
    Evaluation,
    InputError,
    Limits,
    MeasurementSet,
    NitroTpmAttestation,
    NitroTpmMeasurementSet,
    NitroTpmPolicy,
    NitroTpmVerifier,
    Policy,
    Request,
    TrustedRoots,
    Verifier,
    verify,
)

ONES = b"\1" * 48
POLICY = Policy([{0: ONES}], timedelta(hours=1), require_nonce=True, regions=["us-east-1"])
MAKERS = {
    "limits": lambda fake: Limits(nonce=7),
    "measurement set": lambda fake: MeasurementSet({0: ONES}, "v1"),
    "instance set": lambda fake: NitroTpmMeasurementSet({4: ONES}),
    "policy": lambda fake: dataclasses.replace(POLICY),
    "instance policy": lambda fake: NitroTpmPolicy([{4: ONES}], instance_ids=["i-1"]),
    "any enclave": lambda fake: dataclasses.replace(ANY_ENCLAVE),
    "request": lambda fake: Request(b"document", nonce=b"n" * 16, max_age=timedelta(1)),
    "roots": lambda fake: TrustedRoots.AWS | TrustedRoots.from_pem(fake.root_pem),
    "verifier": lambda fake: Verifier(fake.root_pem, policy=POLICY, consistency="warn"),
    "skipping verifier": lambda fake: Verifier(policy=POLICY, unknown_fields="warn"),
    "instance verifier": lambda fake: NitroTpmVerifier(policy=ANY_INSTANCE, cache_size=2),
}


@pytest.fixture(params=MAKERS)
def make(request, fake):
    return lambda: MAKERS[request.param](fake)


def test_values_are_equal_and_hashed_by_their_arguments(make):
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != object()
    assert len({make(), make(), "other"}) == 2


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_a_copy_is_equal(make, copied):
    assert copied(make()) == make()


def test_an_unpickled_verifier_verifies(fake, fake_document, when):
    verifier = pickle.loads(pickle.dumps(Verifier(fake.root_pem, policy=ANY_ENCLAVE)))
    assert verifier.verify(fake_document, at=when).root.name.startswith("custom:")
    with pytest.raises(ChainError):
        pickle.loads(pickle.dumps(Verifier(policy=ANY_ENCLAVE))).verify(fake_document, at=when)


def test_a_pickled_value_is_checked_again():
    forged = pickle.dumps(Limits(nonce=7)).replace(b"K\x07", b"J\xff\xff\xff\xff")
    with pytest.raises(InputError):
        pickle.loads(forged)


def bare(kind):
    return object.__new__(kind)


class Forged:
    """Pickles as a value with a state that no constructor has checked."""

    def __init__(self, kind, state):
        self.kind, self.state = kind, state

    def __reduce__(self):
        return bare, (self.kind,), self.state


@pytest.mark.parametrize(
    "kind",
    [
        *(Limits, Policy, NitroTpmPolicy, MeasurementSet, NitroTpmMeasurementSet, TrustedRoots),
        *(Request, Verifier, NitroTpmVerifier, Evaluation, AnyEnclave, AnyInstance),
        *(Attestation, NitroTpmAttestation),
    ],
)
def test_no_state_is_unpickled_that_no_constructor_has_checked(kind):
    for state in ([], [None] * 16, (None, {"_policy": ANY_ENCLAVE}), {"measurements": ()}):
        with pytest.raises(InputError, match=f"{kind.__name__}: expected the arguments"):
            pickle.loads(pickle.dumps(Forged(kind, state)))


def test_a_pickled_policy_is_checked_again():
    allowing = pickle.dumps(Policy([{4: ONES}], allow_debug=True))
    assert pickle.loads(allowing).allow_debug
    with pytest.raises(TypeError):
        pickle.loads(allowing.replace(b"max_age", b"min_age"))
    forged = pickle.dumps(AnyEnclave(max_age=timedelta(seconds=7)))
    with pytest.raises(InputError):
        pickle.loads(forged.replace(b"K\x07", b"J\xff\xff\xff\xff"))


def test_the_mark_of_an_argument_that_was_not_given_survives_pickle():
    assert pickle.loads(pickle.dumps(Request(b"document"))).nonce is UNCHECKED


@pytest.mark.parametrize("name", [name for name in MAKERS if "verifier" not in name])
def test_values_cannot_be_changed(fake, name):
    value = MAKERS[name](fake)
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_attestation_refuses_pickle_and_copy(fake, fake_document, when, copied):
    attestation = verify(fake_document, fake.root_pem, at=when)
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        copied(attestation)
    with pytest.raises(TypeError, match="only be made by a verification"):
        dataclasses.replace(attestation, matched="v1")
    with pytest.raises(TypeError):
        Attestation()


def test_attestations_are_equal_by_id_policy_and_time(fake, fake_document, when):
    one = verify(fake_document, fake.root_pem, at=when)
    assert one == verify(b"\xd2" + fake_document, fake.root_pem, at=when)
    assert hash(one) == hash(verify(fake_document, fake.root_pem, at=when))
    assert one != verify(fake_document, fake.root_pem, at=when + timedelta(seconds=1))
    assert one != verify(fake_document, fake.root_pem, at=when, policy=ANY_ENCLAVE)
    assert one != verify(fake.document(at=when, nonce=b"n" * 16), fake.root_pem, at=when)


@pytest.mark.parametrize("call", ["verify", "Verifier.verify"])
def test_a_verification_leaves_nothing_to_the_garbage_collector(fake, fake_document, when, call):
    verifier = Verifier(fake.root_pem, policy=ANY_ENCLAVE)

    def once():
        if call == "verify":
            verify(fake_document, fake.root_pem, at=when)
        else:
            verifier.verify(fake_document, at=when)

    once()
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            once()
        assert gc.collect() == 0
    finally:
        gc.enable()
