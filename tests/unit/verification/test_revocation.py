"""A path against revocation lists (R-1 to R-9)."""

import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nitro_attest import (
    ANY_ENCLAVE,
    InputError,
    MemoryStore,
    RevocationLists,
    Verifier,
    parse_unverified,
)
from nitro_attest._internal.times import to_milliseconds
from nitro_attest.limits import MAX_CRLS
from nitro_attest.testing import LIST_FAULTS
from nitro_attest.testing.certificates import Extension
from nitro_attest.testing.revocation import ListForm, Revoked
from nitro_attest.verification.path import CertificatePath, PathVerifier
from support.errors import code_of, code_or_none, rejection, warning_codes

ISSUERS = ("root", "regional")
ROOT, REGIONAL, ZONAL, INSTANCE, LEAF = range(5)
DAY = timedelta(days=1)
Reason = x509.ReasonFlags

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def lists(fake, when):
    """Makes the lists of both CAs; arguments with the name of a CA go to its list."""

    def make(**changes):
        return [fake.revocation_list(ca, **{"at": when, **changes.get(ca, {})}) for ca in ISSUERS]

    return make


@pytest.fixture
def verify(roots, fake_document):
    """Verifies the document with lists, as of now."""

    def call(lists, *, at="now", **options):
        verifier = Verifier(
            roots, policy=ANY_ENCLAVE, revocation=RevocationLists(*lists, **options)
        )
        return verifier.verify(fake_document, at=at)

    return call


@pytest.fixture
def serials(verify, lists):
    """The serial numbers of the document's certificates, root first."""
    return [each.serial_number for each in reversed(verify(lists()).chain)]


def test_r6_current_lists_of_both_issuers_are_accepted_and_named(verify, lists):
    attestation = verify(lists())
    issuers = [one.issuer for one in attestation.revocation_lists]
    assert issuers == [attestation.chain[-1].subject, attestation.chain[-2].subject]
    facts = attestation.to_dict()["revocation_lists"]
    assert [(each["number"], each["entries"]) for each in facts] == [(1, 0), (1, 0)]


def test_without_lists_the_result_says_so(roots, fake_document):
    attestation = Verifier(roots, policy=ANY_ENCLAVE).verify(fake_document)
    assert attestation.revocation_lists is None
    assert attestation.to_dict()["revocation_lists"] is None


@pytest.mark.parametrize("issuer", ISSUERS)
@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_every_faulty_list_is_rejected_with_its_code(verify, lists, issuer, fault):
    assert code_of(verify, lists(**{issuer: {"fault": fault}})) == LIST_FAULTS[fault].code


@pytest.mark.parametrize("missing", [0, 1])
def test_r6_a_missing_list_is_not_excused(verify, lists, missing):
    given = lists()
    del given[missing]
    error = rejection(verify, given)
    assert error.code == "cert.revocation_unknown"
    assert "http://crl.invalid/crl/" in error.message


def test_r6_a_usable_list_counts_beside_a_useless_one(verify, lists):
    stale = lists(root={"fault": "R-3.expired"})[0]
    forged = lists(root={"fault": "R-2.other-key"})[0]
    attestation = verify([stale, forged, *lists()])
    assert len(attestation.revocation_lists) == 2


def test_r7_one_of_several_current_lists_suffices_to_revoke(verify, lists, serials):
    revoking = lists(root={"revoked": {serials[REGIONAL]: None}, "number": 2})
    for order in (lists() + revoking, revoking + lists()):
        error = rejection(verify, order)
        assert error.code == "cert.revoked"
        assert f"{serials[REGIONAL]:x}" in error.message


def test_r7_a_certificate_that_names_no_list_is_checked_too(verify, lists, fake, when):
    assert (
        code_of(verify, [*lists(), fake.revocation_list("zonal", at=when, fault="R-7.no-reason")])
        == "cert.revoked"
    )


def test_r7_the_serial_number_of_another_issuers_certificate_does_not_revoke(
    verify, lists, serials
):
    # The root's list names the serial number of a certificate that the regional CA issued.
    assert verify(lists(root={"revoked": {serials[ZONAL]: None}}))


def test_r2_the_issuer_must_be_allowed_to_sign_lists(verify, lists, fake, when):
    # The keyUsage of the instance's CA has no cRLSign. The certificate below it names no list, so
    # that a list without effect changes nothing.
    assert verify([*lists(), fake.revocation_list("instance", at=when, fault="R-7.no-reason")])


def with_extension(certificate, kind, value=None):
    """The certificate with one extension replaced, or without it."""
    extensions = dict(certificate.extensions)
    del extensions[kind]
    if value is not None:
        extensions[kind] = x509.Extension(kind.oid, False, value)
    return certificate._replace(extensions=extensions)


@pytest.fixture
def checked(roots, fake, fake_document, when, lists):
    """Checks the path of the document, with the certificate at a place changed."""
    parsed = parse_unverified(fake_document)
    verified = PathVerifier(roots, 1).verify(parsed.cabundle, parsed.certificate)

    def call(place, *change):
        certificates = list(verified.certificates)
        certificates[place] = with_extension(certificates[place], *change)
        path = CertificatePath(verified.root, tuple(certificates), verified.key)
        given = RevocationLists(*lists())
        return given.check(path, to_milliseconds(when), 0, archived=False)

    return call


def test_r2_a_list_of_an_issuer_without_crl_sign_covers_nothing(checked):
    assert code_of(checked, REGIONAL, x509.KeyUsage) == "crl.issuer"


def point(names, issuer=None):
    return x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, issuer)])


def test_r6_a_certificate_that_names_no_list_needs_none(checked):
    assert len(checked(REGIONAL, x509.CRLDistributionPoints).lists) == 2


def test_r6_a_certificate_whose_lists_have_another_issuer_is_covered_by_full_lists(checked):
    other = [x509.DirectoryName(x509.Name([]))]
    for names in (None, [x509.UniformResourceIdentifier("http://crl.invalid/crl/regional.crl")]):
        assert checked(REGIONAL, x509.CRLDistributionPoints, point(names, other)).lists
    assert checked(REGIONAL, x509.CRLDistributionPoints, point(other)).lists


def test_r7_an_entry_may_have_an_invalidity_date_alone(verify, lists, serials, fake, when):
    date = Extension.of(x509.InvalidityDate(when - DAY), critical=True)
    revoked = Revoked(serial=serials[REGIONAL], at=when, extensions=(date,))
    assert revoked_by(verify, lists, fake, when, revoked).message.endswith("(reason: none)")


def revoked_by(verify, lists, fake, when, entry):
    """The error about a list of the root with one entry."""
    ca = fake._pki.path(when, fake.module_id)[ROOT]
    form = ListForm(
        issuer=ca.subject,
        signer=ca.key,
        stranger=ca.key,
        this_update=when,
        next_update=when + DAY,
        revoked=(entry,),
    )
    return rejection(verify, [form.der, lists()[1]])


# ---- time.


@pytest.mark.parametrize(
    ("moved", "code"),
    [
        (timedelta(seconds=60), None),  # the default tolerance
        (timedelta(seconds=62), "crl.not_yet_valid"),
        (timedelta(days=-7, seconds=1), None),
        (timedelta(days=-7), "crl.stale"),
    ],
)
def test_r3_a_list_is_current_from_its_issue_to_its_next_update(
    verify, fake, lists, when, moved, code
):
    path = [fake.revocation_list("root", at=when + moved), lists()[1]]
    assert code_or_none(verify, path) == code


@pytest.mark.parametrize(
    ("max_age", "code"), [(timedelta(hours=1, seconds=1), None), (timedelta(hours=1), "crl.stale")]
)
def test_r3_a_maximum_age_is_counted_from_the_issue(verify, fake, lists, when, max_age, code):
    older = when - timedelta(hours=1, milliseconds=1)
    given = [fake.revocation_list("root", at=older), lists()[1]]
    assert code_or_none(verify, given, max_age=max_age) == code


# ---- numbers.


def test_r4_an_older_list_than_one_seen_before_is_rejected(verify, lists):
    numbers = MemoryStore()
    newer, older = lists(root={"number": 2**100}), lists(root={"number": 2**100 - 1})
    assert verify(newer, numbers=numbers)
    assert code_of(verify, older, numbers=numbers) == "crl.rollback"
    assert verify(newer, numbers=numbers)
    assert verify(older)  # without a store, nothing is known of earlier lists


def test_r4_a_forged_list_does_not_raise_the_number(verify, lists):
    numbers = MemoryStore()
    forged = lists(root={"number": 9, "fault": "R-2.other-key"})
    assert code_of(verify, forged, numbers=numbers) == "crl.signature"
    assert verify(lists(), numbers=numbers)


# ---- archived documents.


@pytest.mark.parametrize(
    ("reason", "later", "code"),
    [
        (None, DAY, "cert.revoked"),
        (Reason.unspecified, DAY, "cert.revoked"),
        (Reason.key_compromise, DAY, "cert.revoked"),
        (Reason.ca_compromise, DAY, "cert.revoked"),
        (Reason.aa_compromise, DAY, "cert.revoked"),
        (Reason.superseded, DAY, None),
        (Reason.affiliation_changed, DAY, None),
        (Reason.cessation_of_operation, DAY, None),
        (Reason.privilege_withdrawn, DAY, None),
        (Reason.certificate_hold, DAY, None),
        (Reason.superseded, timedelta(0), "cert.revoked"),
        (Reason.superseded, -DAY, "cert.revoked"),
    ],
)
def test_r8_a_later_revocation_counts_if_its_reason_reaches_back(
    verify, lists, serials, when, reason, later, code
):
    entry = {"revoked": {serials[REGIONAL]: reason}, "revoked_at": when + later, "number": 2}
    given = lists(root=entry)
    for at in (when, "document"):
        assert code_or_none(verify, given, at=at) == code
        if code is None:
            assert "cert.revoked_later" in warning_codes(verify(given, at=at))
    assert code_of(verify, given) == "cert.revoked"  # as of now, every listed serial number counts


def test_r8_a_list_issued_after_an_archived_document_is_used(verify, fake, lists, when):
    # The CAs are those of the document, so the list is of the same ten days.
    given = [fake.revocation_list("root", at=when + DAY), lists()[1]]
    assert verify(given, at="document")
    assert code_of(verify, given) == "crl.not_yet_valid"


# ---- the cache.


def test_r9_a_cached_path_is_checked_against_the_lists_of_each_verifier(
    roots, fake_document, lists, serials
):
    revoking = RevocationLists(*lists(root={"revoked": {serials[REGIONAL]: None}}))
    plain = Verifier(roots, policy=ANY_ENCLAVE)
    strict = Verifier(roots, policy=ANY_ENCLAVE, revocation=revoking)
    for _ in range(2):
        assert plain.verify(fake_document)
        assert code_of(strict.verify, fake_document) == "cert.revoked"


def test_r9_time_is_checked_again_for_a_cached_path(roots, fake_document, lists, when):
    verifier = Verifier(roots, policy=ANY_ENCLAVE, revocation=RevocationLists(*lists()))
    assert verifier.verify(fake_document, at=when)
    later = when + timedelta(hours=1)
    short = RevocationLists(*lists(), max_age=timedelta(minutes=30))
    assert verifier.verify(fake_document, at=later)
    strict = Verifier(roots, policy=ANY_ENCLAVE, revocation=short)
    assert strict.verify(fake_document, at=when)
    assert code_of(strict.verify, fake_document, at=later) == "crl.stale"


# ---- what is read.


def test_r1_pem_files_and_folders_are_read(verify, lists, tmp_path):
    root, regional = lists()
    pem = x509.load_der_x509_crl(root).public_bytes(Encoding.PEM)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/root.pem").write_bytes(pem)
    (tmp_path / "regional.crl").write_bytes(regional)
    read = RevocationLists.from_files(tmp_path / "folder", str(tmp_path / "regional.crl"))
    assert read == RevocationLists(regional, root)
    assert verify(list(read))


def test_r1_at_most_64_lists_are_taken(fake, when):
    many = [fake.revocation_list("root", at=when, number=n) for n in range(MAX_CRLS + 1)]
    assert len(list(RevocationLists(*many[1:], many[1]))) == MAX_CRLS  # the same one counts once
    assert code_of(RevocationLists, *many) == "input.crl"


def test_r1_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.crl").write_bytes(b"no list")
    for path in (tmp_path / "absent.crl", "\0"):
        assert rejection(RevocationLists.from_files, path).code == "input.file"
    for path in (tmp_path / "bad.crl", tmp_path, None):
        assert rejection(RevocationLists.from_files, path).code == "input.crl"
    (tmp_path / "empty").mkdir()
    error = rejection(RevocationLists.from_files, tmp_path / "empty")
    assert (error.code, "is empty" in error.message) == ("input.crl", True)
    assert "bad.crl" in rejection(RevocationLists.from_files, tmp_path).message


def test_r1_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)  # root may read any folder
    error = rejection(RevocationLists.from_files, tmp_path)
    assert (error.code, error.message) == (
        "input.file",
        f"cannot read {str(tmp_path)!r}: Permission denied",
    )


@pytest.mark.parametrize("max_age", [timedelta(0), -DAY, 5, "1d"])
def test_a_maximum_age_is_a_positive_duration(lists, max_age):
    with pytest.raises(InputError, match="max_age"):
        RevocationLists(*lists(), max_age=max_age)


@pytest.mark.parametrize("numbers", [5, "numbers.db", {}])
def test_numbers_are_a_store(lists, numbers):
    assert code_of(RevocationLists, *lists(), numbers=numbers) == "input.expected"


@pytest.mark.parametrize("revocation", [[], b"", "crls/", True])
def test_a_verifier_takes_nothing_else_as_lists(roots, revocation):
    assert code_of(Verifier, roots, policy=ANY_ENCLAVE, revocation=revocation) == "input.crl"


# ---- Values.


def test_lists_can_be_pickled_compared_and_hashed(roots, lists):
    one = RevocationLists(*lists(), max_age=DAY)
    copy = pickle.loads(pickle.dumps(one))
    assert (copy, hash(copy)) == (one, hash(one))
    (single, _) = one
    assert pickle.loads(pickle.dumps(single)) == single
    for value in (one, single):
        with pytest.raises(InputError, match="constructor"):
            value.__setstate__({})
    assert one != RevocationLists(*lists())
    assert one != 1
    verifier = Verifier(roots, policy=ANY_ENCLAVE, revocation=one)
    assert pickle.loads(pickle.dumps(verifier)) == verifier
    assert verifier != Verifier(roots, policy=ANY_ENCLAVE)


def test_the_text_of_the_set_names_each_list(lists):
    assert repr(RevocationLists(*lists())).count("revocation list 1 of ") == 2
