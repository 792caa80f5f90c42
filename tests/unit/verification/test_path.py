"""The walk over a path, called by itself: what the sentences say, and what no document shows."""

from dataclasses import replace
from itertools import pairwise
from operator import is_

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from nitro_attest import TrustedRoots
from nitro_attest.testing import FakeNitro
from nitro_attest.testing.certificates import Extension
from nitro_attest.testing.pki import host_name
from nitro_attest.verification import path as path_module
from nitro_attest.verification.path import CertificatePath, PathVerifier, check_windows
from support.errors import rejection

DAY = 24 * 60 * 60 * 1000


@pytest.fixture
def forms(fake, when):
    """The forms of the five certificates of a document, root first."""
    return fake._pki.path(when, fake.module_id)


@pytest.fixture
def path(roots, forms):
    return walk(roots, *forms)


def walk(roots, *forms):
    *issuers, leaf = (form.der for form in forms)
    return PathVerifier(roots, 0).verify(tuple(issuers), leaf)


def test_x5_the_root_of_a_path_is_our_own_copy(path, roots):
    (root,) = roots
    assert path.root is root
    assert path.certificates[0] is root.certificate


def test_only_a_path_that_was_walked_is_known(roots, forms):
    *issuers, leaf = (form.der for form in forms)
    paths, bundle = PathVerifier(roots, 1, look_ahead=True), tuple(issuers)
    assert paths.known(bundle, leaf) is None
    walked = paths.verify(bundle, leaf)
    assert paths.known(bundle, leaf) is walked
    assert paths.known(bundle[:-1], leaf) is None
    assert paths.known(bundle, bundle[-1]) is None


def test_a_path_is_only_known_to_who_looks_ahead(roots, forms):
    *issuers, leaf = (form.der for form in forms)
    paths = PathVerifier(roots, 1)
    walked = paths.verify(tuple(issuers), leaf)
    assert paths.known(tuple(issuers), leaf) is None
    assert paths.verify(tuple(issuers), leaf) is walked


def test_the_certificates_read_ahead_are_those_whose_links_will_be_checked(roots, forms, fake):
    *issuers, leaf = (form.der for form in forms)
    paths, bundle = PathVerifier(roots, 1, look_ahead=True), tuple(issuers)
    ahead = paths.read_ahead(bundle, leaf)
    walked = paths.verify(bundle, leaf)  # which reads none of them again
    assert all(map(is_, ahead, walked.certificates))
    assert len(ahead) == len(walked.certificates)
    assert paths.read_ahead(bundle, leaf) == walked.certificates[-2:]
    assert paths.read_ahead(bundle[:-1], leaf) == (*walked.certificates[:-2], ahead[-1])
    assert paths.read_ahead(bundle[1:], leaf) == ()


@pytest.mark.parametrize("broken", [1, 2, 3, 4])
def test_nothing_is_read_ahead_of_certificates_that_will_be_rejected(roots, forms, broken):
    *issuers, leaf = (form.der if at != broken else b"0" for at, form in enumerate(forms))
    assert PathVerifier(roots, 1, look_ahead=True).read_ahead(tuple(issuers), leaf) == ()


def test_a_link_that_is_confirmed_is_not_checked_again(roots, forms, monkeypatch):
    *issuers, leaf = (form.der for form in forms)
    checked, real = [], path_module._check_signature
    monkeypatch.setattr(
        path_module, "_check_signature", lambda *of: checked.append(of[:2]) or real(*of)
    )
    asked = []

    def confirms(parent, child):
        asked.append((parent, child))
        return len(asked) % 2 == 0

    walked = PathVerifier(roots, 0, confirms).verify(tuple(issuers), leaf)
    assert asked == list(pairwise(walked.certificates))
    assert checked == asked[::2]


def test_x24_a_certificate_without_a_common_name_has_an_empty_one(roots, forms):
    *issuers, leaf = forms
    nameless = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon")])
    path = walk(roots, *issuers, replace(leaf, subject=nameless.public_bytes()))
    assert path.names[-1] == ""
    assert all(path.names[:-1])
    assert len(path.names) == len(path.certificates) - 1


def test_what_a_cache_shares_cannot_be_changed(path):
    assert type(path.certificates) is type(path.chain) is type(path.names) is tuple
    for shared, name in ((path, "key"), (path.leaf, "common_name"), (path.root, "certificate")):
        with pytest.raises(AttributeError):
            setattr(shared, name, None)


def test_x10_of_several_expired_certificates_the_leaf_is_named(path):
    late = path.certificates[0].not_after_ms + 1
    assert rejection(check_windows, path, late, 0).message.startswith("the signing certificate")


def test_x10_the_sentence_says_how_late_or_early_it_is_in_whole_seconds(path):
    error = rejection(check_windows, path, path.leaf.not_after_ms + DAY + 999, 0)
    assert " 1 day, 0:00:00 before the verification time;" in error.message
    error = rejection(check_windows, path, path.leaf.not_before_ms - DAY - 999, 0)
    assert "1 day, 0:00:00 after the verification time; check" in error.message


def test_x10_the_skew_is_allowed_to_the_millisecond(path):
    skew = 2000
    check_windows(path, path.leaf.not_before_ms - skew, skew)
    error = rejection(check_windows, path, path.leaf.not_before_ms - skew - 1, skew)
    assert error.code == "cert.not_yet_valid"


@pytest.mark.parametrize(
    ("leaf", "issuer", "label", "code"),
    [
        ((0, 0), (1, 9), "certificate 3", "cert.not_yet_valid"),
        ((0, 0), (-9, -1), "certificate 3", "cert.expired"),
        ((1, 0), (-9, 9), "the signing certificate", "cert.not_yet_valid"),  # ends before it begins
    ],
)
def test_x10_a_certificate_is_valid_at_both_ends_of_its_window(path, leaf, issuer, label, code):
    at = path.leaf.not_before_ms
    *above, last, signing = path.certificates
    changed = [
        certificate._replace(not_before_ms=at + begins, not_after_ms=at + ends)
        for certificate, (begins, ends) in ((last, issuer), (signing, leaf))
    ]
    beyond = CertificatePath(path.root, (*above, *changed), path.key)
    error = rejection(check_windows, beyond, at, 0)
    assert error.code == code
    assert error.message.startswith(label)


def test_x1_the_sentence_says_which_certificate_it_is(roots, fake):
    issuers = PathVerifier(roots, 0).issuers
    root = rejection(issuers, (b"no certificate",))
    other = rejection(issuers, (fake.root_der, b"no certificate"))
    assert root.message.startswith("certificate 0 (root) cannot be read")
    assert other.message.startswith("certificate 1 (intermediate CA) cannot be read")


def test_x1_an_issuer_that_cannot_be_read_is_a_malformed_certificate(roots, forms):
    common_name = b"\x30\x08\x06\x03\x55\x04\x03\x0c\x01\xff"  # UTF-8 that is none
    unreadable = b"\x30\x0c\x31\x0a" + common_name
    error = rejection(walk, roots, *forms[:-1], replace(forms[-1], issuer=unreadable))
    assert error.code == "cert.malformed"


def test_x4_the_partition_of_an_aws_root_that_is_not_trusted_is_named(roots):
    (gov,) = TrustedRoots.AWS_US_GOV
    (root,) = roots
    error = rejection(PathVerifier(roots, 0).issuers, (gov.der,))
    assert error.code == "chain.untrusted_root"
    assert "it is the root of AWS partition aws-us-gov;" in error.message
    assert error.message.endswith(f"; trusted roots: {root.name}")


def test_x4_of_an_unknown_root_the_sentence_says_what_is_trusted(roots):
    stranger = FakeNitro(seed=b"stranger")
    (root,) = roots
    error = rejection(PathVerifier(roots, 0).issuers, (stranger.root_der,))
    assert error.message.endswith(f"; trusted roots: {root.name}")


def test_x19_an_issuer_named_by_name_and_serial_alone_has_no_key_to_differ(roots, forms):
    *issuers, leaf = forms
    general = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")]))
    by_serial = x509.AuthorityKeyIdentifier(None, [general], 7)
    extension = Extension.of(by_serial, critical=False)
    path = walk(roots, *issuers, replace(leaf, extensions=(*leaf.extensions, extension)))
    assert path.leaf.parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)


def test_x7_a_self_issued_signing_certificate_is_wrongly_named_not_wrongly_ordered(roots, forms):
    own = host_name("nobody above")
    error = rejection(walk, roots, *forms[:-1], replace(forms[-1], subject=own, issuer=own))
    assert error.code == "chain.name"
