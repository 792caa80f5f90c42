"""A document against its certificates, fact by fact (X-21, X-22, X-24, T-3)."""

from dataclasses import replace

import pytest

from nitro_attest import TrustedRoots, parse_unverified
from nitro_attest.chain import Paths
from nitro_attest.consistency import kind_failures, name_failures, region, time_failures
from nitro_attest.document import from_milliseconds

SKEW = 60_000


@pytest.fixture
def document(fake_document):
    return parse_unverified(fake_document)


@pytest.fixture
def path(fake, document):
    roots = TrustedRoots.from_pem(fake.root_pem)
    return Paths(roots, 0).walk(document.cabundle, document.certificate)


def with_leaf(path, **changes):
    leaf = replace(path.leaf, **changes)
    return replace(path, certificates=(*path.certificates[:-1], leaf))


def text(milliseconds):
    return from_milliseconds(milliseconds).isoformat()


def judged(failures):
    return [(failure.code, failure.expected, failure.found) for failure in failures]


def test_the_region_is_what_stands_between_the_module_id_and_aws(document, path):
    assert region(path, document.module_id) == "us-east-1"
    assert region(path, f"{document.module_id}0") is None


@pytest.mark.parametrize(
    "found", ["", "US-EAST-1", "us", "us-east-1.", "us east-1", "us-east-1.aws"]
)
def test_what_does_not_look_like_a_region_is_none(document, path, found):
    other = with_leaf(path, common_name=f"{document.module_id}.{found}.aws")
    assert region(other, document.module_id) is None


def test_a_signing_certificate_without_one_common_name_has_no_region(document, path):
    assert region(with_leaf(path, common_name=None), document.module_id) is None


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
        assert time_failures(replace(document, timestamp_ms=made), path, at, SKEW) == []
    for made in (start - SKEW - 1, end + SKEW + 1):
        failures = time_failures(replace(document, timestamp_ms=made), path, at, SKEW)
        code = "freshness.timestamp_outside_certificate"
        assert judged(failures) == [(code, f"{text(start)} to {text(end)}", text(made))]


@pytest.mark.parametrize(
    ("module_id", "name"),
    [("i-1-tpm2", "i-1-enc2.us-east-1.aws"), ("i-1-enc2", "i-1-tpm2.us-east-1.aws")],
)
def test_t3_the_kind_must_show_in_the_module_id_and_in_the_certificates_name(
    document, path, module_id, name
):
    failures = kind_failures(
        replace(document, module_id=module_id), with_leaf(path, common_name=name)
    )
    assert judged(failures) == [("consistency.kind", "-enc", f"{module_id}, {name}")]
    assert kind_failures(document, path) == []


def test_t3_a_signing_certificate_without_one_common_name_shows_no_kind(document, path):
    failures = kind_failures(document, with_leaf(path, common_name=None))
    assert judged(failures) == [("consistency.kind", "-enc", f"{document.module_id}, ")]


def test_x24_without_a_region_the_names_agree_in_nothing(document, path):
    names = [certificate.common_name for certificate in path.certificates[1:]]
    expected = f"{document.module_id}.<region>.aws"
    failures = name_failures(document, path, None)
    assert judged(failures) == [("consistency.module_id", expected, ", ".join(names))]


def test_x24_the_instance_ca_names_the_instance_and_the_region(document, path):
    names = [certificate.common_name for certificate in path.certificates[1:]]
    expected = f"{document.module_id.partition('-enc')[0]}.eu-west-1.aws.nitro-enclaves"
    failures = name_failures(document, path, "eu-west-1")
    assert judged(failures) == [("consistency.module_id", expected, ", ".join(names))]
    assert name_failures(document, path, "us-east-1") == []


def test_x24_an_issuer_without_one_common_name_agrees_with_nothing(document, path):
    root, regional, *others = path.certificates
    certificates = (root, replace(regional, common_name=None), *others)
    failures = name_failures(document, replace(path, certificates=certificates), "us-east-1")
    names = ["", *(certificate.common_name for certificate in others)]
    assert [failure.found for failure in failures] == [", ".join(names)]
