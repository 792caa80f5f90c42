"""A document against its certificates, fact by fact (X-21, X-22, X-24, T-3)."""

import pytest

from nitro_attest import TrustedRoots, parse_unverified
from nitro_attest._internal.times import from_milliseconds
from nitro_attest.verification import agreement
from nitro_attest.verification.agreement import time_failures
from nitro_attest.verification.document import UnverifiedDocument
from nitro_attest.verification.path import PathVerifier

SKEW = 60_000


@pytest.fixture
def document(fake_document):
    return parse_unverified(fake_document)


@pytest.fixture
def path(fake, document):
    roots = TrustedRoots.from_pem(fake.root_pem)
    return PathVerifier(roots, 0).verify(document.cabundle, document.certificate)


def saying(document, **fields):
    parts = document._parts
    content = parts.content._replace(**fields)
    return UnverifiedDocument(content, parts._replace(content=content))


def names(module_id, path_names, kind="enclave", root="FAKE-NOT-AWS.nitro-enclaves"):
    return agreement.compare_names(kind, module_id, root, path_names)


def text(milliseconds):
    return from_milliseconds(milliseconds).isoformat()


def judged(failures):
    return [(failure.code, failure.expected, failure.found) for failure in failures]


def test_the_region_is_what_stands_between_the_module_id_and_aws(document, path):
    assert names(document.module_id, path.names).region == "us-east-1"
    assert names(f"{document.module_id}0", path.names).region is None


@pytest.mark.parametrize(
    "found", ["", "US-EAST-1", "us", "us-east-1.", "us east-1", "us-east-1.aws"]
)
def test_what_does_not_look_like_a_region_is_none(document, path, found):
    signer = f"{document.module_id}.{found}.aws"
    assert names(document.module_id, (*path.names[:-1], signer)).region is None


def test_the_instance_is_what_stands_before_the_last_hyphen(document, path):
    assert names(document.module_id, path.names).instance_id == "i-0abcdef0123456789"
    assert names("i-1-2-enc3", path.names).instance_id == "i-1-2"


def test_x22_a_document_made_after_the_verification_time_and_the_skew_is_refused(document, path):
    at = document.timestamp_ms - SKEW
    assert time_failures(document, path, at, SKEW) == []
    assert judged(time_failures(document, path, at - 1, SKEW)) == [
        (
            "freshness.future",
            f"at most {text(document.timestamp_ms - 1)}",
            text(document.timestamp_ms),
        )
    ]


def test_x21_a_document_made_outside_its_certificates_validity_is_refused(document, path):
    start, end = path.leaf.not_before_ms, path.leaf.not_after_ms
    at = end + 2 * SKEW
    for made in (start - SKEW, end + SKEW):
        assert time_failures(saying(document, timestamp_ms=made), path, at, SKEW) == []
    for made in (start - SKEW - 1, end + SKEW + 1):
        failures = time_failures(saying(document, timestamp_ms=made), path, at, SKEW)
        code = "freshness.timestamp_outside_certificate"
        assert judged(failures) == [(code, f"{text(start)} to {text(end)}", text(made))]


@pytest.mark.parametrize(
    ("module_id", "name"),
    [("i-1-tpm2", "i-1-enc2.us-east-1.aws"), ("i-1-enc2", "i-1-tpm2.us-east-1.aws")],
)
def test_t3_the_kind_must_show_in_the_module_id_and_in_the_certificates_name(
    document, path, module_id, name
):
    failures = names(module_id, (*path.names[:-1], name)).kind_failures
    assert judged(failures) == [("consistency.kind", "-enc", f"{module_id}, {name}")]
    assert names(document.module_id, path.names).kind_failures == ()
    (failure,) = names(document.module_id, path.names, "nitrotpm").kind_failures
    assert failure.expected == "-tpm"


def test_t3_a_signing_certificate_without_one_common_name_shows_no_kind(document, path):
    failures = names(document.module_id, (*path.names[:-1], "")).kind_failures
    assert judged(failures) == [("consistency.kind", "-enc", f"{document.module_id}, ")]


def test_x24_without_a_region_the_names_agree_in_nothing(document, path):
    unnamed = (*path.names[:-1], "")
    expected = f"{document.module_id}.<region>.aws"
    found = names(document.module_id, unnamed)
    assert judged(found.failures) == [("consistency.module_id", expected, ", ".join(unnamed))]
    assert found.region is None


def test_x24_the_instance_ca_names_the_instance_and_the_region(document, path):
    elsewhere = (*path.names[:-1], f"{document.module_id}.eu-west-1.aws")
    expected = f"{document.module_id.partition('-enc')[0]}.eu-west-1.aws.nitro-enclaves"
    failures = names(document.module_id, elsewhere).failures
    assert judged(failures) == [("consistency.module_id", expected, ", ".join(elsewhere))]
    assert names(document.module_id, path.names).failures == ()


def test_x24_ever_new_names_do_not_fill_the_memory():
    for number in range(300):
        names(f"i-{number}-enc0", ("",))
    assert agreement.compare_names.cache_info().currsize == 256


@pytest.mark.parametrize("place", [0, 1, 2])
def test_x24_an_issuer_without_one_common_name_agrees_with_nothing(document, path, place):
    unnamed = (*path.names[:place], "", *path.names[place + 1 :])
    (failure,) = names(document.module_id, unnamed).failures
    assert failure.found == ", ".join(unnamed)


def test_x24_the_names_of_a_path_are_those_of_all_certificates_below_the_root(fake, path):
    regional, zonal, instance, signer = path.names
    assert regional.endswith(".us-east-1.aws.nitro-enclaves")
    assert zonal.endswith(".zonal.us-east-1.aws.nitro-enclaves")
    assert instance == "i-0abcdef0123456789.us-east-1.aws.nitro-enclaves"
    assert signer == f"{fake.module_id}.us-east-1.aws"


MODULE = "i-0abcdef0123456789-enc019a5376999041b1"


def chain_names(place, signer=None, instance="i-0abcdef0123456789"):
    """The names of a path in a place such as ``us-gov-west-1.aws-us-gov``."""
    return (
        f"4b1f.{place}.nitro-enclaves",
        f"77aa.zonal.{place}.nitro-enclaves",
        f"{instance}.{place}.nitro-enclaves",
        f"{MODULE}.{place}" if signer is None else signer,
    )


@pytest.mark.parametrize(
    ("root", "partition"),
    [
        ("aws.nitro-enclaves", "aws"),
        ("aws-us-gov.nitro-enclaves", "aws-us-gov"),
        ("aws-cn.nitro-enclaves", "aws-cn"),
        ("aws-iso-b.nitro-enclaves", "aws-iso-b"),
        ("FAKE-NOT-AWS.nitro-enclaves", "aws"),
        ("awsome.nitro-enclaves", "aws"),
        ("aws-.nitro-enclaves", "aws"),
        ("aws-us-gov.nitro-enclaves.example", "aws"),
        ("aws-us-gov", "aws"),
        ("x.aws-us-gov.nitro-enclaves", "aws"),
        ("", "aws"),
    ],
)
def test_x24_the_roots_name_gives_the_partition(root, partition):
    agreed = names(MODULE, chain_names(f"eu-west-1.{partition}"), root=root)
    assert (agreed.partition, agreed.failures, agreed.region) == (partition, (), "eu-west-1")
    other = "aws-cn" if partition == "aws" else "aws"
    disagreed = names(MODULE, chain_names(f"eu-west-1.{other}"), root=root)
    assert judged(disagreed.failures) == [
        (
            "consistency.module_id",
            f"{MODULE}.<region>.{partition}",
            ", ".join(chain_names(f"eu-west-1.{other}")),
        )
    ]


GOVCLOUD = "us-gov-west-1.aws-us-gov"


@pytest.mark.parametrize(
    ("path_names", "region"),
    [
        (chain_names("us-gov-west-1.aws"), "us-gov-west-1"),
        (chain_names(GOVCLOUD, signer=f"{MODULE}.us-gov-west-1.aws"), "us-gov-west-1"),
        (chain_names(GOVCLOUD, signer=""), "us-gov-west-1"),
        (chain_names(GOVCLOUD, signer=MODULE), "us-gov-west-1"),
        (chain_names(GOVCLOUD, instance="i-1"), "us-gov-west-1"),
        (("a", "b", "c", f"i-1-enc2.{GOVCLOUD}"), "us-gov-west-1"),
        (chain_names(GOVCLOUD, signer=f"{MODULE}.us-gov-east-1.aws-us-gov"), None),
        (chain_names(GOVCLOUD, signer=f"{MODULE}.us-gov-east-1.aws"), None),
        (chain_names("us-gov-west-1.aws-cn"), None),
        (chain_names("aws-us-gov"), None),
        (("", "", "", ""), None),
    ],
)
def test_x24_where_the_names_are_not_known_the_region_is_the_only_one_in_them(path_names, region):
    found = names(MODULE, path_names, root="aws-us-gov.nitro-enclaves")
    assert found.region == region
    assert found.partition == "aws-us-gov"
    assert [failure.code for failure in found.failures] == ["consistency.module_id"]


def test_x24_in_the_commercial_partition_only_the_signing_certificate_names_the_region():
    assert names(MODULE, chain_names("eu-west-1.aws", signer="")).region is None
    elsewhere = chain_names("eu-west-1.aws", signer=f"{MODULE}.us-east-1.aws")
    assert names(MODULE, elsewhere).region == "us-east-1"
