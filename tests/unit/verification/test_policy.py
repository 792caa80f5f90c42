"""Policies: what they accept and reject, and arguments that make none (M-*, L-7, L-8)."""

import json
from datetime import timedelta

import pytest

from nitro_attest import (
    ANY_ENCLAVE,
    ANY_INSTANCE,
    AnyEnclave,
    AnyInstance,
    DocumentFacts,
    Evaluation,
    InputError,
    MeasurementSet,
    NitroTpmPolicy,
    Policy,
    PolicyError,
    PolicyFailure,
    TrustedRoots,
    Verifier,
    verify,
    verify_nitrotpm,
)
from nitro_attest._internal.pcrs import EMPTY_RAMDISKS
from nitro_attest.measurements import pcr3_from_role_arn, pcr4_from_instance_id
from nitro_attest.testing.registers import IMAGE, ROLE_ARN
from support.errors import code_of

ZERO = bytes(48)
OTHER = bytes([7]) * 48
SCHEMA = "nitro-attest-policy/1"
HEX = OTHER.hex()
FACTS = DocumentFacts("i-1", None, timedelta(0))


@pytest.fixture
def judged(fake, fake_document, when):
    """Verifies a document of the fake enclave under a policy."""

    def judge(policy, document=fake_document, **options):
        return verify(document, fake.root_pem, at=when, policy=policy, **options)

    return judge


def failures(call, *args, **options):
    with pytest.raises(PolicyError) as caught:
        call(*args, **options)
    return caught.value.failures


def warnings(attestation):
    return [notice.code for notice in attestation.warnings]


# Measurement sets


def test_m1_a_role_is_required_by_its_measurement(judged, fake, when):
    policy = {**IMAGE, 3: pcr3_from_role_arn(ROLE_ARN)}
    assert judged(policy).pcrs[3] == policy[3]
    without_role = fake.document(at=when, pcrs={3: ZERO})
    [failure] = failures(judged, policy, without_role)
    assert (failure.code, failure.pcr, failure.found) == ("policy.pcr_mismatch", 3, ZERO.hex())


def test_m1_a_zero_pcr3_is_required_as_no_role_and_reported(judged, fake, when):
    policy = {**IMAGE, 3: ZERO}
    attestation = judged(policy, fake.document(at=when, pcrs={3: ZERO}))
    assert "policy.weak" in warnings(attestation)
    assert [failure.pcr for failure in failures(judged, policy)] == [3]


@pytest.mark.parametrize("zeroed", [(0,), (1,), (2,), (0, 1, 2)])
def test_m2_any_zero_image_pcr_is_debug_mode(judged, fake, when, zeroed):
    document = fake.document(at=when, pcrs=dict.fromkeys(zeroed, ZERO))
    policy = {4: pcr4_from_instance_id("i-0abcdef0123456789")}
    [failure] = failures(judged, policy, document)
    assert failure.code == "policy.debug"
    assert (failure.expected, failure.found) == ("PCR0, PCR1 and PCR2 not zero", "zero")
    allowing = Policy([policy], allow_debug=True)
    assert "policy.debug" in warnings(judged(allowing, document, allow_debug=True))


class Accepting:
    """A policy of a user's, which accepts every document."""

    kind, max_age, require_nonce = "enclave", None, False

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def evaluate(self, document, facts):
        return Evaluation()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("pcrs", "sandbox"),
    [({17: OTHER}, True), ({17: ZERO}, False), ({}, False), ({16: OTHER}, False)],
)
def test_m2_the_sentence_of_debug_mode_has_advice_if_pcr17_is_not_zero(
    judged, fake, when, pcrs, sandbox, debug
):
    document = fake.document(at=when, pcrs=pcrs | ({1: ZERO} if debug else {}))
    if debug:
        [failure] = failures(judged, ANY_ENCLAVE, document)
        assert failure.code == "policy.debug"
        assert failure.message.startswith("the enclave runs in debug mode: ")
        assert ("Nitro Sandbox" in failure.message) is sandbox
        assert ("nitro-sandboxes.md" in failure.message) is sandbox
        allowed = judged(AnyEnclave(allow_debug=True), document, allow_debug=True)
        assert "policy.debug" in warnings(allowed)
    else:
        assert "policy.debug" not in warnings(judged(ANY_ENCLAVE, document))


def test_m2_debug_mode_needs_the_consent_of_policy_and_call(judged, fake, when):
    document = fake.document(at=when, debug=True)
    pins = {4: pcr4_from_instance_id("i-0abcdef0123456789")}
    for policy, call, side in (
        (True, False, "the call does not allow it; it needs allow_debug=True"),
        (False, True, "the policy does not allow it; it needs allow_debug=True"),
        (False, False, "neither the policy nor the call allows it; both need allow_debug=True"),
    ):
        [failure] = failures(judged, Policy([pins], allow_debug=policy), document, allow_debug=call)
        assert failure.code == "policy.debug"
        assert failure.message.endswith(f"its measurements are zero; {side}")


def test_m2_a_policy_without_the_attribute_does_not_allow_debug_mode(judged, fake, when):
    document = fake.document(at=when, debug=True)
    for policy in (ANY_ENCLAVE, Accepting(), Accepting(allow_debug="yes")):
        [failure] = failures(judged, policy, document, allow_debug=True)
        assert "the policy does not allow it" in failure.message
    assert judged(Accepting(allow_debug=True), document, allow_debug=True)


@pytest.mark.parametrize("debug", [True, False])
def test_m2_an_accepted_document_in_debug_mode_carries_a_warning(judged, fake, when, debug):
    document = fake.document(at=when, debug=debug)
    for policy in (
        Policy([{31: bytes(48)}, {3: pcr3_from_role_arn(ROLE_ARN)}], allow_debug=True),
        AnyEnclave(allow_debug=True),
    ):
        attestation = judged(policy, document, allow_debug=True)
        assert ("policy.debug" in warnings(attestation)) is debug


def test_m2_no_policy_allows_debug_mode_unless_it_says_so():
    assert Policy([IMAGE]).allow_debug is False
    assert ANY_ENCLAVE.allow_debug is False


def test_m2_a_set_that_pins_the_image_refuses_debug_mode_even_where_it_is_allowed(
    judged, fake, when
):
    document = fake.document(at=when, debug=True)
    policy = Policy([IMAGE], allow_debug=True)
    assert [failure.pcr for failure in failures(judged, policy, document, allow_debug=True)] == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("zero", [ZERO, "0" * 96, "0x" + "0" * 96])
def test_m3_a_zero_pin_of_an_image_pcr_is_refused_when_the_policy_is_made(index, zero):
    assert code_of(MeasurementSet, {index: zero, 8: OTHER}) == "policyfile.zero_pin"
    assert code_of(Policy, [{index: zero}], allow_debug=True) == "policyfile.zero_pin"


def test_m3_a_zero_pcr8_is_accepted_and_reported(judged):
    attestation = judged({**IMAGE, 8: ZERO})
    assert "policy.weak" in warnings(attestation)
    assert "policy.weak" not in warnings(judged(IMAGE))


@pytest.mark.parametrize(
    "pins", [{2: EMPTY_RAMDISKS}, {2: EMPTY_RAMDISKS, 8: ZERO}, {4: OTHER}, {3: OTHER, 16: OTHER}]
)
def test_m4_pins_that_no_image_decides_are_reported(pins):
    assert "policy.weak" in [notice.code for notice in Policy([pins]).weaknesses()]


def test_m4_the_pcr2_of_one_ramdisk_is_no_weakness_beside_pcr0():
    assert MeasurementSet({0: OTHER, 2: EMPTY_RAMDISKS}).weaknesses() == []


@pytest.mark.parametrize("text", [HEX, HEX.upper(), "0x" + HEX, "0X" + HEX.upper()])
def test_m9_hex_of_either_case_with_an_optional_0x_is_one_value(text):
    assert MeasurementSet({0: text}) == MeasurementSet({0: OTHER})
    assert MeasurementSet({0: text}).to_named() == {"PCR0": HEX}


@pytest.mark.parametrize(
    "value",
    [
        "",
        HEX[:-1],
        HEX + "0",
        HEX[:-1] + "g",
        " " + HEX,
        HEX + "\n",
        "0x" + HEX[2:],
        "0x0x" + HEX,
        HEX[:-1] + "\uff10",
        OTHER[:-1],
        OTHER + b"\x00",
        None,
        7,
        b"",
    ],
)
def test_m9_any_other_value_is_refused(value):
    assert code_of(MeasurementSet, {0: value}) == "policyfile.hex"


@pytest.mark.parametrize("index", [-1, 32, "0", True, 1.0, None])
def test_an_index_that_no_document_has_is_refused(index):
    assert code_of(MeasurementSet, {index: OTHER}) == "policyfile.pcr_index"


def test_p18_an_expected_pcr_that_the_document_lacks_fails(judged):
    [failure] = failures(judged, {**IMAGE, 16: OTHER})
    assert (failure.code, failure.pcr, failure.found) == ("policy.pcr_absent", 16, None)
    assert failure.expected == HEX


# Several sets


def test_l8_one_set_of_several_must_match_wholly(judged):
    new = MeasurementSet({**IMAGE, 0: OTHER}, "v1.4.3")
    old = MeasurementSet(IMAGE, "v1.4.2")
    assert judged(Policy([new, old])).matched == "v1.4.2"
    assert judged(Policy([old, new])).matched == "v1.4.2"


def test_l8_values_from_two_sets_do_not_add_up_to_a_match(judged):
    policy = Policy(
        [
            MeasurementSet({0: IMAGE[0], 1: OTHER}, "a"),
            MeasurementSet({0: OTHER, 1: IMAGE[1]}, "b"),
        ]
    )
    found = failures(judged, policy)
    assert [(failure.measurement_set, failure.pcr) for failure in found] == [("a", 1), ("b", 0)]
    assert [failure.expected for failure in found] == [HEX, HEX]
    assert [failure.found for failure in found] == [IMAGE[1].hex(), IMAGE[0].hex()]


def test_l8_sets_without_a_name_are_told_apart_by_their_place(judged):
    assert judged(Policy([{0: OTHER}, IMAGE])).matched == "#2"
    assert judged(Policy([IMAGE])).matched is None


def test_l8_two_sets_of_one_name_are_refused():
    sets = [MeasurementSet({0: OTHER}, "v1"), MeasurementSet({1: OTHER}, "v1")]
    assert code_of(Policy, sets) == "policyfile.duplicate"
    assert code_of(Policy, [MeasurementSet({0: OTHER}, "#2"), {0: OTHER}]) == "policyfile.duplicate"


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 129, 7])
def test_a_name_that_a_terminal_could_obey_is_refused(name):
    assert code_of(MeasurementSet, {0: OTHER}, name) == "policyfile.format"


@pytest.mark.parametrize("nothing", [[], (), {}, "", None])
def test_l7_an_empty_policy_is_not_any_enclave(nothing):
    assert code_of(Policy, nothing) == "policyfile.empty"


def test_l7_text_is_no_list_of_sets():
    with pytest.raises(InputError, match="expected a list of at least one"):
        Policy("PCR0")


def test_l7_an_empty_set_beside_a_full_one_is_refused():
    assert code_of(Policy, [{0: OTHER}, {}]) == "policyfile.empty"


# Where, how fresh, by which source


@pytest.mark.parametrize(
    ("name", "what", "right", "wrong"),
    [
        (
            "module_ids",
            "module_id",
            "i-0abcdef0123456789-enc019a5376999041b1",
            "i-0abcdef0123456789-enc0",
        ),
        ("instance_ids", "instance id", "i-0abcdef0123456789", "i-0abcdef012345678"),
        ("regions", "region", "us-east-1", "us-east-2"),
    ],
)
def test_the_place_must_be_one_of_those_named(judged, name, what, right, wrong):
    assert judged(Policy([IMAGE], **{name: [wrong, right]})).matched is None
    [failure] = failures(judged, Policy([IMAGE], **{name: [wrong]}))
    assert (failure.code, failure.expected, failure.found) == ("policy.module_id", wrong, right)
    assert failure.message == f"{what} mismatch: expected {wrong}, found {right}"


def test_an_unknown_region_is_none_of_those_named(fake, when):
    document = fake.document(at=when, fault="X-24.leaf-suffix")
    roots = TrustedRoots.from_pem(fake.root_pem)
    anywhere = Verifier(roots, policy=Policy([IMAGE]), consistency="warn")
    assert anywhere.verify(document, at=when).region is None
    placed = Verifier(roots, policy=Policy([IMAGE], regions=["us-east-1"]), consistency="warn")
    [failure] = failures(placed.verify, document, at=when)
    assert (failure.code, failure.found) == ("policy.module_id", None)


@pytest.mark.parametrize("name", ["module_ids", "instance_ids", "regions"])
def test_a_list_of_places_is_not_empty_and_not_a_string(name):
    assert code_of(Policy, [IMAGE], **{name: []}) == "policyfile.empty"
    for value in ("us-east-1", {"us-east-1": 1}, 7, [""], [None], [7], ["a\n"]):
        with pytest.raises(
            InputError, match=f": {name}: expected |{name} is an empty list"
        ) as caught:
            Policy([IMAGE], **{name: value})
        assert caught.value.code == "policyfile.format"


def test_a_list_of_places_is_kept_sorted_and_without_repetition():
    regions = [f"us-east-{number}" for number in range(1, 10)]
    assert Policy([IMAGE], regions=[*reversed(regions), *regions]).regions == tuple(regions)


def test_all_failures_are_reported_not_the_first(judged):
    policy = Policy([{0: OTHER}], regions=["eu-west-1"], instance_ids=["i-0"])
    found = failures(judged, policy, nonce=b"n" * 16)
    assert [failure.code for failure in found] == [
        "policy.pcr_mismatch",
        "policy.module_id",
        "policy.module_id",
        "policy.nonce",
    ]


def test_a_required_nonce_must_come_with_every_call(judged, fake, when):
    policy = Policy([IMAGE], require_nonce=True)
    nonce = bytes(range(16))
    document = fake.document(at=when, nonce=nonce)
    assert judged(policy, document, nonce=nonce).nonce == nonce
    assert code_of(judged, policy, document) == "input.nonce"


def test_the_smaller_maximum_age_holds(fake, fake_document, when):
    late = when + timedelta(minutes=5)
    ages = [(10, 4), (4, 10), (4, None), (None, 4)]
    for of_policy, of_call in ages:
        policy = Policy([IMAGE], max_age=of_policy and timedelta(minutes=of_policy))
        [failure] = failures(
            verify,
            fake_document,
            fake.root_pem,
            at=late,
            policy=policy,
            max_age=of_call and timedelta(minutes=of_call),
        )
        assert failure.code == "freshness.too_old"


def test_x23_any_positive_maximum_age_is_allowed_and_no_other():
    assert Policy([IMAGE], timedelta.resolution).max_age == timedelta.resolution
    for age in (timedelta(0), -timedelta.resolution, 60):
        assert code_of(Policy, [IMAGE], age) == "input.time"


@pytest.mark.parametrize("caveat", ["policy.source_unattested", "policy.debug_flag"])
def test_l2_l5_what_is_known_against_the_source_stands_on_every_result(judged, caveat):
    assert caveat in warnings(judged(Policy([IMAGE], caveats=[caveat])))
    assert caveat not in warnings(judged(Policy([IMAGE])))


def test_a_caveat_that_nobody_knows_is_refused():
    assert code_of(Policy, [IMAGE], caveats=["policy.fine"]) == "policyfile.unknown_key"
    with pytest.raises(InputError, match=r"caveats: expected a list, found 'policy\.debug_flag'"):
        Policy([IMAGE], caveats="policy.debug_flag")


# More pins


def test_pins_from_elsewhere_are_added_to_every_set(judged):
    policy = Policy([{0: OTHER}, {0: IMAGE[0]}]).with_pins({1: IMAGE[1].hex()})
    assert [list(item.pcrs) for item in policy.measurements] == [[0, 1], [0, 1]]
    assert judged(policy).matched == "#2"
    assert [f.pcr for f in failures(judged, policy.with_pins({2: OTHER}))] == [0, 2, 2]


def test_pins_keep_the_rest_of_the_policy():
    policy = Policy(
        [MeasurementSet({0: OTHER}, "v1")],
        timedelta(seconds=9),
        True,
        require_nonce=True,
        regions=["us-east-1"],
        caveats=["policy.debug_flag"],
    )
    kept = policy.with_pins({8: OTHER}).to_dict()
    kept["measurements"] = policy.to_dict()["measurements"]
    assert kept == policy.to_dict()


def test_a_pin_that_contradicts_one_set_is_an_error_and_drops_no_set():
    policy = Policy([{0: OTHER}, {0: IMAGE[0]}])
    assert code_of(policy.with_pins, {0: OTHER}) == "policyfile.duplicate"
    assert Policy([{0: OTHER}]).with_pins({0: OTHER}) == Policy([{0: OTHER}])
    assert code_of(policy.with_pins, {}) == "policyfile.empty"


# The JSON form


def form(**changes):
    return {"schema": SCHEMA, "measurements": [{"pcrs": {"PCR0": HEX}}]} | changes


def test_the_least_policy_leaves_everything_else_open():
    assert Policy.from_dict(form()) == Policy([{0: OTHER}])


FULL = {
    "measurements": [{"name": "v1", "pcrs": {"PCR0": HEX}}],
    "allow_debug": True,
    "require_nonce": True,
    "max_age_seconds": 1.5,
    "module_ids": ["i-0-enc0"],
    "instance_ids": ["i-0"],
    "regions": ["us-east-1"],
    "caveats": ["policy.debug_flag"],
}


def test_the_full_policy_says_everything():
    as_built = {"name": "v1", "pcrs": {"HashAlgorithm": "Sha384 { ... }", "pcr0": HEX.upper()}}
    assert Policy.from_dict(form(**FULL) | {"measurements": [as_built]}) == Policy(
        [MeasurementSet({0: OTHER}, "v1")],
        timedelta(milliseconds=1500),
        True,
        require_nonce=True,
        module_ids=["i-0-enc0"],
        instance_ids=["i-0"],
        regions=["us-east-1"],
        caveats=["policy.debug_flag"],
    )


def test_the_json_form_says_all_of_a_policy_and_nothing_that_is_open():
    for changes in ({}, FULL, {"measurements": [{"pcrs": {"PCR8": HEX}}]}):
        policy = Policy.from_dict(form(**changes))
        assert policy.to_dict() == {"allow_debug": False, "require_nonce": False} | form(**changes)


def test_whole_seconds_are_written_as_an_integer():
    for seconds, text in ((60, "60"), (60.0, "60"), (0.5, "0.5")):
        written = Policy.from_dict(form(max_age_seconds=seconds)).to_dict()["max_age_seconds"]
        assert json.dumps(written) == text


@pytest.mark.parametrize(
    "key", ["at", "time", "clock_skew", "roots", "root", "consistency", "Regions", "max_age"]
)
def test_x20_a_policy_has_no_key_for_archive_mode_clock_or_roots_nor_for_typos(key):
    assert code_of(Policy.from_dict, form(**{key: "document"})) == "policyfile.unknown_key"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schema": "nitro-attest-policy/2"}, "format"),
        ({"schema": None}, "format"),
        ({"measurements": []}, "empty"),
        ({"measurements": {}}, "format"),
        ({"measurements": None}, "format"),
        ({"measurements": [{}]}, "format"),
        ({"measurements": [[]]}, "format"),
        ({"measurements": [{"pcrs": {}}]}, "empty"),
        ({"measurements": [{"pcrs": {"PCR0": HEX}, "pcr1": HEX}]}, "unknown_key"),
        ({"measurements": [{"pcrs": {"PCR0": HEX}, "name": ""}]}, "format"),
        ({"measurements": [{"pcrs": {"PCR0": HEX}, "name": None}]}, "format"),
        ({"measurements": [{"pcrs": {"0": HEX}}]}, "unknown_key"),
        ({"measurements": [{"pcrs": {0: HEX}}]}, "unknown_key"),
        ({"measurements": [{"pcrs": {"PCR0": HEX, "pcr0": HEX}}]}, "duplicate"),
        ({"measurements": [{"pcrs": {"PCR0": None}}]}, "hex"),
        ({"measurements": [{"pcrs": {"PCR0": "0" * 96}}]}, "zero_pin"),
        ({"measurements": [{"pcrs": {"PCR32": HEX}}]}, "pcr_index"),
        ({"max_age_seconds": 0}, "format"),
        ({"max_age_seconds": -1}, "format"),
        ({"max_age_seconds": True}, "format"),
        ({"max_age_seconds": "60"}, "format"),
        ({"max_age_seconds": None}, "format"),
        ({"max_age_seconds": 1e-9}, "format"),
        ({"max_age_seconds": 1e300}, "format"),
        ({"max_age_seconds": float("inf")}, "format"),
        ({"max_age_seconds": float("nan")}, "format"),
        ({"allow_debug": 1}, "format"),
        ({"allow_debug": "false"}, "format"),
        ({"require_nonce": None}, "format"),
        ({"regions": None}, "format"),
        ({"regions": []}, "empty"),
        ({"caveats": [[]]}, "format"),
        ({"caveats": ["policy.none"]}, "unknown_key"),
    ],
)
def test_a_malformed_policy_is_refused_with_its_code(changes, code):
    assert code_of(Policy.from_dict, form(**changes)) == f"policyfile.{code}"


@pytest.mark.parametrize("value", [None, [], "x", 7, {}])
def test_what_is_no_policy_is_refused(value):
    assert code_of(Policy.from_dict, value) == "policyfile.format"


def test_any_enclave_must_still_be_explicit(judged):
    assert "policy.none" not in warnings(judged(ANY_ENCLAVE))


@pytest.mark.parametrize(
    "policy", [ANY_ENCLAVE, ANY_INSTANCE, Policy([IMAGE]), NitroTpmPolicy([IMAGE])]
)
def test_a_policy_cannot_be_changed(policy):
    with pytest.raises(AttributeError):
        policy.max_age = None
    assert type(getattr(policy, "measurements", ())) is tuple


@pytest.mark.parametrize("kind", [AnyEnclave, AnyInstance])
def test_a_policy_that_asks_for_nothing_is_checked_as_any_other(kind):
    assert kind().explicit is True
    assert code_of(kind, max_age=timedelta(0)) == "input.time"


@pytest.mark.parametrize(
    ("make", "flag"),
    [
        (AnyEnclave, "allow_debug"),
        (AnyEnclave, "explicit"),
        (AnyInstance, "explicit"),
        (lambda **flags: Policy([IMAGE], **flags), "allow_debug"),
        (lambda **flags: Policy([IMAGE], **flags), "require_nonce"),
    ],
)
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_either(make, flag):
    with pytest.raises(InputError) as caught:
        make(**{flag: 1})
    assert caught.value.code == "policyfile.format"
    assert caught.value.message == f"{flag}: expected true or false, found 1"


def test_a_call_without_a_policy_is_warned_of_what_it_accepts(fake, fake_document, when):
    instance = fake.document(at=when, kind="nitrotpm")
    results = {
        "enclave": verify(fake_document, fake.root_pem, at=when),
        "instance": verify_nitrotpm(instance, fake.root_pem, at=when),
    }
    for name, attestation in results.items():
        assert attestation.warnings[0].code == "policy.none"
        assert attestation.warnings[0].message.endswith(f"any {name} of any AWS customer")
    explicit = verify(fake_document, fake.root_pem, at=when, policy=ANY_ENCLAVE)
    assert "policy.none" not in warnings(explicit)


@pytest.mark.parametrize(
    "policy",
    [
        IMAGE,
        {index: value.hex().upper() for index, value in IMAGE.items()},
        {f"PCR{index}": value.hex() for index, value in IMAGE.items()},
        {"HashAlgorithm": "Sha384 { ... }", "pcr0": "0x" + IMAGE[0].hex()},
        {"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": IMAGE[0].hex()}},
    ],
)
def test_l1_a_mapping_of_pcrs_is_a_policy_in_each_of_its_forms(judged, policy):
    assert judged(policy)
    assert judged(Policy([policy]))


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({}, "policyfile.empty"),
        ({"Measurements": {}}, "policyfile.empty"),
        ({"Measurements": {"PCR0": HEX}, "PCR1": HEX}, "policyfile.unknown_key"),
        ({"PCR0": HEX, 1: HEX}, "policyfile.unknown_key"),
        ({"PCR0": HEX, "HashAlgorithm": "Sha256"}, "policyfile.hash_algorithm"),
        ([{0: HEX}], "input.expected"),
        ("{}", "input.expected"),
    ],
)
def test_l1_any_other_form_is_rejected(judged, policy, code):
    assert code_of(judged, policy) == code


class InRegions:
    """A policy of a user's own."""

    kind = "enclave"
    max_age = None
    require_nonce = False

    def __init__(self, *regions):
        self.regions = regions

    def evaluate(self, document, facts):
        if facts.region in self.regions:
            return Evaluation(matched=facts.region)
        return Evaluation(failures=(PolicyFailure("own.region", "another region"),))


def test_a_policy_of_a_users_own_decides(judged):
    assert judged(InRegions("us-east-1")).matched == "us-east-1"
    [failure] = failures(judged, InRegions("eu-central-1"))
    assert failure.code == "own.region"


@pytest.mark.parametrize("name", ["kind", "max_age", "require_nonce", "evaluate"])
def test_a_policy_without_all_that_it_needs_is_rejected(judged, name):
    parts = {each: getattr(InRegions, each) for each in ("kind", "max_age", "require_nonce")}
    parts["evaluate"] = lambda self, document, facts: Evaluation()
    del parts[name]
    assert code_of(judged, type("Incomplete", (), parts)()) == "input.expected"


def test_a_policy_that_answers_with_anything_but_an_evaluation_is_rejected(judged):
    policy = InRegions("us-east-1")
    policy.evaluate = lambda document, facts: True
    assert code_of(judged, policy) == "input.expected"


@pytest.mark.parametrize("allow_debug", [None, False, 1, "yes"])
def test_m2_a_policy_of_a_users_own_that_forgets_debug_mode_rejects_it(
    judged, fake, when, allow_debug
):
    policy = InRegions("us-east-1")
    if allow_debug is not None:
        policy.allow_debug = allow_debug
    [failure] = failures(judged, policy, fake.document(at=when, debug=True), allow_debug=True)
    assert failure.code == "policy.debug"


def test_m2_a_policy_of_a_users_own_and_the_call_must_both_allow_debug_mode(judged, fake, when):
    policy, document = InRegions("us-east-1"), fake.document(at=when, debug=True)
    policy.allow_debug = True
    assert "policy.debug" in warnings(judged(policy, document, allow_debug=True))
    [failure] = failures(judged, policy, document)
    assert failure.code == "policy.debug"


@pytest.mark.parametrize(
    "parts",
    [
        {"kind": "nitrotpm"},
        {"max_age": timedelta(0)},
        {"max_age": 300},
        {"require_nonce": "false"},
        {"evaluate": None},
    ],
)
def test_a_policy_with_a_wrong_part_is_rejected(judged, parts):
    policy = InRegions("us-east-1")
    for name, value in parts.items():
        setattr(policy, name, value)
    assert code_of(judged, policy) in ("input.expected", "input.time")
    assert code_of(judged, InRegions) == "input.expected"


@pytest.mark.parametrize(
    "parts", [{"failures": None}, {"failures": {}}, {"failures": ("x",)}, {"warnings": ["x"]}]
)
def test_an_evaluation_holds_tuples_of_failures_and_warnings(parts):
    assert code_of(Evaluation, **parts) == "input.expected"


def test_a_policy_without_a_set_accepts_nothing(judged):
    empty = object.__new__(Policy)
    full = Policy([IMAGE])
    for name in ("max_age", "require_nonce", "module_ids", "instance_ids", "regions"):
        object.__setattr__(empty, name, getattr(full, name))
    object.__setattr__(empty, "allow_debug", False)
    object.__setattr__(empty, "measurements", ())
    assert code_of(judged, empty) == "policyfile.empty"
