"""FakeNitro: its documents have the form of genuine ones, and nothing trusts them."""

import doctest
import itertools
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import cbor2
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from nitro_attest import InputError, NitroAttestError, testing, verify, verify_nitrotpm
from nitro_attest.testing import FAULTS, VARIANTS, FakeNitro

NSM_ORDER = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"]
OPTIONAL = ["public_key", "user_data", "nonce"]
ZERO = bytes(48)
TODAY = datetime(2026, 3, 1, tzinfo=timezone.utc).date()
STRINGS = (b"\x13\x02US", b"\x0c\x06Amazon", b"\x0c\x03AWS")  # PrintableString, UTF8String


def payload_of(document):
    return cbor2.loads(cbor2.loads(document)[2])


def chain_of(payload):
    return [
        x509.load_der_x509_certificate(der)
        for der in (*payload["cabundle"], payload["certificate"])
    ]


def profile(certificate):
    """The properties that certificates of the same role share, whoever made them."""
    return {
        "version": certificate.version,
        "algorithm": certificate.signature_algorithm_oid,
        "curve": certificate.public_key().curve.name,
        "subject": [item.oid for item in certificate.subject],
        "strings": [tag in certificate.subject.public_bytes() for tag in STRINGS],
        "extensions": [(item.oid, item.critical) for item in certificate.extensions],
        "constraints": certificate.extensions.get_extension_for_class(x509.BasicConstraints).value,
        "usage": certificate.extensions.get_extension_for_class(x509.KeyUsage).value,
    }


def test_the_chain_has_the_profile_of_the_genuine_one(fake, when, genuine):
    real = chain_of(payload_of(genuine[0]))
    made = chain_of(payload_of(fake.document(at=when)))
    assert [profile(certificate) for certificate in made] == [profile(c) for c in real]


def test_each_certificate_is_signed_by_the_one_before(fake, when):
    chain = chain_of(payload_of(fake.document(at=when)))
    for parent, child in itertools.pairwise(chain):
        child.verify_directly_issued_by(parent)


def test_certificates_live_as_long_as_genuine_ones_and_the_leaf_expires_first(fake, when):
    for hours in range(0, 24 * 11, 5):  # past every renewal
        at = when + timedelta(hours=hours)
        _root, *below = chain_of(payload_of(fake.document(at=at)))
        lives = [c.not_valid_after_utc - c.not_valid_before_utc for c in below]
        assert lives[0] == timedelta(days=20, hours=1)
        assert timedelta(days=5) <= lives[1] <= timedelta(days=6)
        assert lives[2] == timedelta(days=1)
        assert lives[3] == timedelta(hours=3, seconds=3)
        ends = [c.not_valid_after_utc for c in below]
        assert ends == sorted(ends, reverse=True)
        assert all(c.not_valid_before_utc <= at for c in below)
        whole = at.replace(microsecond=0)
        assert below[-1].not_valid_before_utc == whole - timedelta(seconds=3)


def test_names_follow_the_pattern_and_the_root_is_named_fake(fake, when):
    names = [
        certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        for certificate in chain_of(payload_of(fake.document(at=when)))
    ]
    hexadecimal = "[0-9a-f]{16}"
    assert names[0] == "FAKE-NOT-AWS.nitro-enclaves"
    assert re.fullmatch(rf"{hexadecimal}\.us-east-1\.aws\.nitro-enclaves", names[1])
    assert re.fullmatch(rf"{hexadecimal}\.zonal\.us-east-1\.aws\.nitro-enclaves", names[2])
    assert names[3] == "i-0abcdef0123456789.us-east-1.aws.nitro-enclaves"
    assert names[4] == f"{fake.module_id}.us-east-1.aws"


def test_serials_are_unique_and_as_long_as_genuine_ones(fake, when):
    made = set()
    for hours in range(0, 48, 6):
        chain = chain_of(payload_of(fake.document(at=when + timedelta(hours=hours))))
        assert [c.serial_number.bit_length() // 8 + 1 for c in chain] == [17, 17, 17, 21, 16]
        made.update(chain)
    assert len({certificate.serial_number for certificate in made}) == len(made)


def test_a_payload_has_the_form_of_the_nsm(fake, when):
    payload = payload_of(fake.document(at=when))
    assert list(payload) == NSM_ORDER + OPTIONAL
    assert payload["module_id"] == fake.module_id
    assert payload["timestamp"] == int(when.timestamp() * 1000)
    assert [payload[name] for name in OPTIONAL] == [None, None, None]
    pcrs = payload["pcrs"]
    assert list(pcrs) == list(range(16))
    assert len({pcrs[0], pcrs[1], pcrs[2], pcrs[3], pcrs[4], ZERO}) == 6
    assert all(pcrs[index] == ZERO for index in range(5, 16))


def test_pcr3_and_pcr4_equal_the_examples_of_aws(when):
    nitro = FakeNitro(instance_id="i-1234567890abcdef0")
    pcrs = payload_of(nitro.document(at=when))["pcrs"]
    # The AWS Nitro Enclaves user guide, for arn:aws:iam::123456789012:role/Webserver.
    assert (
        pcrs[3].hex().startswith("78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef")
    )
    assert (
        pcrs[4].hex().startswith("08f996b5d43e047a9eb51e7f548bfee7e164fd7dc8f65541f2ac09d6545ac812")
    )


def test_debug_mode_zeroes_the_image_and_nothing_else(fake, when):
    pcrs = payload_of(fake.document(at=when, debug=True))["pcrs"]
    assert [index for index in range(5) if pcrs[index] == ZERO] == [0, 1, 2]


def test_given_pcrs_are_added_and_replace_the_defaults(fake, when):
    given = {0: b"\x01" * 48, 20: b"\x02" * 48}
    pcrs = payload_of(fake.document(at=when, pcrs=given))["pcrs"]
    assert pcrs[0] == given[0]
    assert pcrs[20] == given[20]
    assert pcrs[5] == ZERO


@pytest.mark.parametrize("prefix", ["", "0x"])
def test_pcrs_can_be_given_in_hex(fake, when, prefix):
    pcrs = payload_of(fake.document(at=when, pcrs={1: prefix + "aB" * 48}))["pcrs"]
    assert pcrs[1] == b"\xab" * 48


def test_debug_mode_can_be_combined_with_other_pcrs(fake, when):
    pcrs = payload_of(fake.document(at=when, pcrs={0: ZERO, 16: b"\x01" * 48}, debug=True))["pcrs"]
    assert [pcrs[index] for index in (0, 1, 2, 16)] == [ZERO, ZERO, ZERO, b"\x01" * 48]


def test_optional_fields_can_be_set_null_or_left_out(fake, when):
    payload = payload_of(fake.document(at=when, nonce=b"n", user_data=b"", absent={"public_key"}))
    assert list(payload) == [*NSM_ORDER, "user_data", "nonce"]
    assert payload["nonce"] == b"n"
    assert payload["user_data"] == b""


def test_both_forms_of_the_map_with_and_without_tag(fake, when):
    for indefinite, tagged in ((True, False), (False, False), (True, True), (False, True)):
        document = fake.document(at=when, indefinite=indefinite, tagged=tagged)
        assert document.startswith(b"\xd2\x84" if tagged else b"\x84")
        start = document[document.index(b"\xa0\x59") + 4]
        assert start == (0xBF if indefinite else 0xA9)


@pytest.mark.parametrize("high", [True, False])
def test_s_can_be_forced_high_or_low(fake, when, high):
    half = int.from_bytes(bytes.fromhex("7f" + "ff" * 23), "big") << 192
    for second in range(4):
        at = when + timedelta(seconds=second)
        s = int.from_bytes(fake.document(at=at, high_s=high)[-48:], "big")
        assert (s > half) == high


def test_an_instance_document_has_its_own_form(fake, when):
    document = fake.document(at=when, kind="nitrotpm")
    payload = payload_of(document)
    assert list(payload)[3] == "nitrotpm_pcrs"
    assert payload["module_id"] == "i-0abcdef0123456789-tpm0000000000000000"
    pcrs = payload["nitrotpm_pcrs"]
    assert list(pcrs) == list(range(24))
    assert {pcrs[index] for index in range(17, 23)} == {b"\xff" * 48}
    # The separator alone, as in genuine documents.
    assert pcrs[2].hex().startswith("518923b0f955d08da077c96aaba522b9decede61c599cea6")
    leaf = chain_of(payload)[-1]
    assert leaf.serial_number.bit_length() // 8 + 1 == 4 + (leaf.serial_number >> 31)


def test_a_seed_makes_equal_documents_and_no_seed_makes_unequal_ones(when):
    def one(seed):
        nitro = FakeNitro(seed=seed)
        return nitro.root_pem, nitro.document(at=when), nitro.document(at=when, fault="C-4.cwt")

    assert one(b"seed") == one(b"seed")
    assert one(b"seed")[0] != one(b"other")[0]
    assert one(None)[0] != one(None)[0]


def test_a_document_without_a_time_verifies_now():
    nitro = FakeNitro()
    assert verify(nitro.document(), nitro.root_pem).module_id == nitro.module_id


def test_another_partition_names_the_root_which_still_says_that_it_is_fake(when):
    nitro = FakeNitro(region="us-gov-west-1", partition="aws-us-gov")
    attestation = verify(nitro.document(at=when), nitro.root_pem, at=when)
    assert attestation.chain[-1].subject.rfc4514_string() == (
        "CN=aws-us-gov.nitro-enclaves,OU=FAKE-NOT-AWS,O=Amazon,C=US"
    )
    assert attestation.root.name.startswith("custom:")


def test_other_regions_and_modules(when):
    nitro = FakeNitro(region="eu-west-3", instance_id="i-01234567", enclave_id="fedcba9876543210")
    attestation = verify(nitro.document(at=when), nitro.root_pem, at=when)
    assert attestation.module_id == "i-01234567-encfedcba9876543210"
    assert attestation.region == "eu-west-3"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"at": datetime(2026, 1, 1)}, "input.time"),
        ({"at": datetime(1970, 1, 1, tzinfo=timezone.utc)}, "input.time"),
        ({"at": datetime(9999, 1, 1, tzinfo=timezone.utc)}, "input.time"),
        ({"kind": "server"}, "input.expected"),
        ({"kind": "nitrotpm", "debug": True}, "input.expected"),
        ({"pcrs": {32: ZERO}}, "input.expected"),
        ({"pcrs": {-1: ZERO}}, "input.expected"),
        ({"pcrs": {0: b"short"}}, "input.expected"),
        ({"pcrs": {0: "ab" * 47}}, "input.expected"),
        ({"pcrs": {0: "a" * 95}}, "input.expected"),
        ({"pcrs": {0: "xy" * 48}}, "input.expected"),
        ({"pcrs": {0: "ab " * 48}}, "input.expected"),
        ({"pcrs": {0: None}}, "input.expected"),
        ({"pcrs": {"0": ZERO}}, "input.expected"),
        ({"pcrs": {True: ZERO}}, "input.expected"),
        ({"pcrs": [ZERO]}, "input.expected"),
        ({"at": "now"}, "input.time"),
        ({"at": TODAY}, "input.time"),
        *(
            ({field: value}, "input.expected")
            for field in OPTIONAL
            for value in (5, "", "n", "abc", "ab cd", ["ab"])
        ),
        ({"debug": "no"}, "input.expected"),
        ({"indefinite": None}, "input.expected"),
        ({"tagged": 1}, "input.expected"),
        ({"high_s": 0}, "input.expected"),
        ({"kind": ["enclave"]}, "input.expected"),
        ({"absent": "nonce"}, "input.expected"),
        ({"absent": [["nonce"]]}, "input.expected"),
        ({"absent": None}, "input.expected"),
        ({"fault": 5}, "input.expected"),
        ({"variant": ["C-4.tag-18"]}, "input.expected"),
        ({"pcrs": {0: b"\x01" * 48}, "debug": True}, "input.expected"),
        ({"pcrs": {0: b"\x01" * 48}, "fault": "M-2.debug"}, "input.expected"),
        ({"pcrs": {0: b"\x01" * 48}, "fault": "M-2.pcr0-zero"}, "input.expected"),
        ({"nonce": b"n", "fault": "policy.nonce-other"}, "input.expected"),
        ({"nonce": b"n", "fault": "policy.nonce-absent"}, "input.expected"),
        ({"absent": {"module_id"}}, "input.expected"),
        ({"absent": {"nonce"}, "nonce": b"n"}, "input.expected"),
        ({"fault": "C-4.cwt", "variant": "C-4.tag-18"}, "input.expected"),
        ({"variant": "C-4.tag"}, "input.expected"),
    ],
)
def test_invalid_arguments_are_rejected(fake, when, arguments, code):
    with pytest.raises(InputError) as rejected:
        fake.document(**{"at": when} | arguments)
    assert rejected.value.code == code


@pytest.mark.parametrize(
    "arguments",
    [
        *({"partition": "gov"}, {"partition": ""}, {"partition": None}),
        *(
            {"region": "mars"},
            {"instance_id": "i-xyz"},
            {"enclave_id": "0"},
            {"region": "us-east-1\n"},
        ),
        *({"region": None}, {"instance_id": 5}, {"enclave_id": b"019a5376999041b1"}),
        *({"seed": "text"}, {"seed": 5}),
    ],
)
def test_invalid_names_are_rejected(arguments):
    with pytest.raises(InputError):
        FakeNitro(**arguments)


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("C-4.second-tags", r": C-4\.second-tag,"),
        ("c-4.SECOND-TAG", r": C-4\."),
        ("policy.nonce", r": policy\.nonce-"),
        ("leaf-expired", r": X-10\.leaf-expired"),
        ("?", "FAULTS"),
    ],
)
def test_an_unknown_fault_is_rejected_with_similar_names(fake, when, name, similar):
    with pytest.raises(InputError, match=similar) as rejected:
        fake.document(at=when, fault=name)
    assert rejected.value.code == "input.expected"


@pytest.mark.parametrize("rule", sorted({fault.rule for fault in FAULTS.values()}))
def test_names_that_are_similar_to_a_misspelt_one_share_its_rule(fake, when, rule):
    of_rule = {name for name, fault in FAULTS.items() if fault.rule == rule}
    for misspelt in (rule, f"{rule}.", f"{rule}.expired-leef", rule.lower()):
        with pytest.raises(InputError) as rejected:
            fake.document(at=when, fault=misspelt)
        similar = set(rejected.value.message.partition("similar names: ")[2].split(", "))
        assert similar <= of_rule
        assert len(similar) == min(5, len(of_rule))


ARGUMENTS = {
    "nonce": {"nonce": b"n"},
    "user_data": {"user_data": b"u"},
    "public_key": {"public_key": b"p"},
    **{f"absent {name}": {"absent": {name}} for name in OPTIONAL},
    "PCR0": {"pcrs": {0: "ab" * 48}},
    "PCR15": {"pcrs": {15: "ab" * 48}},
    "PCR16": {"pcrs": {16: "ab" * 48}},
    "definite": {"indefinite": False},
    "tagged": {"tagged": True},
    "nitrotpm": {"kind": "nitrotpm"},
    "debug": {"debug": True},
}
EARLY = ("C-16", "P-", "M-", "T-", "X-2", "policy")
"""The rules that depend on the content of the payload, or are checked after it."""


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_contradicts_a_fault_or_leaves_its_code(fake, when, argument):
    contradicted = set()
    for name, fault in FAULTS.items():
        if not name.startswith(EARLY):
            continue
        try:
            document = fake.document(at=when, fault=name, **ARGUMENTS[argument])
        except InputError:
            contradicted.add(name)
            continue
        kind = fault.document.get("kind", ARGUMENTS[argument].get("kind"))
        check = verify_nitrotpm if kind == "nitrotpm" and fault.rule != "T-1" else verify
        with pytest.raises(NitroAttestError) as rejected:
            check(document, fake.root_pem, **fault.verify_arguments(when))
        assert (name, rejected.value.code) == (name, fault.code)
    assert CONTRADICTED.get(argument, set()) <= contradicted
    assert len(contradicted) < 30 or argument == "debug"


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_contradicts_a_variant_or_leaves_it_accepted(fake, when, argument):
    for name, variant in VARIANTS.items():
        try:
            document = fake.document(at=when, variant=name, **ARGUMENTS[argument])
        except InputError:
            continue
        check = verify_nitrotpm if argument == "nitrotpm" else verify
        check(document, fake.root_pem, **variant.verify_arguments(when))


CONTRADICTED = {
    "nonce": {"P-25.nonce-text", "P-10.undefined-nonce", "policy.nonce-null"},
    "user_data": {"P-25.user-data-integer", "policy.user_data-null"},
    "public_key": {"P-25.public-key-map", "policy.public_key-null"},
    "absent nonce": {"P-6.nonce", "P-6.nonce-after-null", "P-25.nonce-text", "policy.nonce-null"},
    "absent user_data": {"P-6.user_data", "P-4.after-key", "policy.user_data-null"},
    "absent public_key": {"P-6.public_key", "policy.public_key-null"},
    "PCR0": {"P-18.no-pcr0", "P-9.no-pcrs", "P-10.null-pcr", "M-2.debug", "policy.pcr0-other"},
    "PCR16": {"P-9.no-pcrs", "policy.pcr16-absent"},
    "definite": {"P-4.too-early", "P-4.after-key"},
    "nitrotpm": {"P-18.no-pcr0", "P-9.both-kinds", "T-3.instance-module", "M-2.pcr0-zero"},
    "debug": {"M-2.pcr0-zero", "C-16.payload-swapped", "policy.nonce-other", "X-23.too-old"},
}
"""Some of the faults that an argument contradicts."""


def test_an_argument_equal_to_the_one_that_a_fault_needs_is_accepted(fake, when):
    for name, arguments in (
        ("M-2.debug", {"debug": True}),
        ("T-1.nitrotpm", {"kind": "nitrotpm"}),
        ("policy.nonce-absent", {"absent": {"nonce"}}),
        ("policy.nonce-absent", {"absent": ["nonce", "user_data"]}),
        ("M-2.pcr0-zero", {"pcrs": {0: ZERO.hex()}}),
    ):
        document = fake.document(at=when, fault=name, **arguments)
        assert cbor2.loads(document)


@pytest.mark.parametrize("value", ["ab" * 48, "00" * 48, "ab" * 24 + "ba" * 24])
def test_c16_the_swapped_payload_differs_for_every_pcr0(fake, when, value):
    document = fake.document(at=when, fault="C-16.payload-swapped", pcrs={0: value})
    assert payload_of(document)["pcrs"][0] != bytes.fromhex(value)
    with pytest.raises(NitroAttestError) as rejected:
        verify(document, fake.root_pem, at=when)
    assert rejected.value.code == "signature.invalid"


@pytest.mark.parametrize("field", OPTIONAL)
@pytest.mark.parametrize("value", ["0aFF", "0x0aff", b"\x0a\xff", bytearray(b"\x0a\xff")])
def test_optional_fields_can_be_given_in_hex(fake, when, field, value):
    assert payload_of(fake.document(at=when, **{field: value}))[field] == b"\x0a\xff"


def test_a_seed_can_be_given_in_hex():
    assert FakeNitro(seed="0A" * 8).root_der == FakeNitro(seed=b"\x0a" * 8).root_der


def test_a_fault_without_a_time_shows_now(fake):
    for name, code in (
        ("X-10.leaf-expired", "cert.expired"),
        ("X-23.too-old", "freshness.too_old"),
    ):
        document = fake.document(fault=name)
        with pytest.raises(NitroAttestError) as rejected:
            verify(document, fake.root_pem, **FAULTS[name].verify)
        assert rejected.value.code == code


def test_faults_and_variants_that_need_no_arguments_show_without_and_some_time_later(fake, when):
    later = when + timedelta(seconds=20)
    plain = [fault for fault in FAULTS.values() if not fault.needs_arguments]
    assert len(FAULTS) - len(plain) == 25
    for fault in plain:
        document = fake.document(at=when - fault.at_shift, fault=fault.id)
        with pytest.raises(NitroAttestError) as rejected:
            verify(document, fake.root_pem, at=later)
        assert (fault.id, rejected.value.code) == (fault.id, fault.code)
    for variant in VARIANTS.values():
        if not variant.needs_arguments:
            document = fake.document(at=when - variant.at_shift, variant=variant.id)
            verify(document, fake.root_pem, at=later)


def test_arguments_beside_a_fault_are_kept(fake, when):
    document = fake.document(at=when, fault="M-2.pcr0-zero", pcrs={20: "ab" * 48}, nonce=b"n")
    payload = payload_of(document)
    assert payload["pcrs"][0] == ZERO
    assert payload["pcrs"][20] == b"\xab" * 48
    assert payload["nonce"] == b"n"


def test_the_loop_in_the_docstring_is_true():
    assert doctest.testmod(testing).failed == 0


def test_every_fault_and_variant_has_an_id_and_a_description():
    for table in (FAULTS, VARIANTS):
        for name, case in table.items():
            assert case.id == name
            assert case.description.endswith(".")
            assert hash(case) is not None
    with pytest.raises(TypeError):
        FAULTS["mine"] = FAULTS["C-1.empty"]


def test_importing_it_loads_nothing_that_verifies():
    code = "import nitro_attest.testing, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("nitro_attest.")}
    assert all(
        name.split(".")[1] in {"testing", "errors", "limits", "_internal"} for name in ours
    ), ours
    assert "click" not in loaded
