"""Certificates and keys: one by itself, a row of them, a root, the key of an enclave."""

from __future__ import annotations

import functools
from base64 import encodebytes
from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from nitro_attest._internal.times import to_milliseconds
from nitro_attest.errors import ChainError, InputError, PolicyError
from nitro_attest.keys.public_key import decode_public_key
from nitro_attest.keys.seal import hpke_suite, seal_to
from nitro_attest.limits import (
    MAX_CABUNDLE_CERTIFICATES,
    MAX_CRL_NUMBER_OCTETS,
    MAX_SERIAL_OCTETS,
)
from nitro_attest.testing import LIST_FAULTS, FakeNitro
from nitro_attest.verification.accelerators.base import Accelerator
from nitro_attest.verification.certificate import (
    check_authority,
    check_signer,
    load_key,
    quietly,
    read_certificate,
)
from nitro_attest.verification.crl import RevocationList
from nitro_attest.verification.path import CertificatePath, PathVerifier, check_windows
from nitro_attest.verification.roots import TrustedRoots
from nitro_attest.verification.signature import SignatureClaim, check_with_cryptography
from targets.base import VECTORS, Target, outcome, refused, rejection
from targets.documents import ROOTS, WHEN, parsed_documents

_SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


def check_certificate(data: bytes) -> bool:
    """One certificate: what is accepted is what the library sees, in the one form of X-9."""
    found = outcome(len(data), ChainError, read_certificate, data, "it")
    if refused(found):
        return False
    assert found.parsed.public_bytes(Encoding.DER) == data
    assert 0 < found.parsed.serial_number < 1 << 8 * MAX_SERIAL_OCTETS - 1
    assert found.not_before_ms == to_milliseconds(found.parsed.not_valid_before_utc)
    assert found.not_after_ms == to_milliseconds(found.parsed.not_valid_after_utc)
    assert {item.oid.dotted_string for item in found.parsed.extensions if item.critical} <= {
        "2.5.29.19",
        "2.5.29.15",
    }
    for check in (check_authority, check_signer):
        outcome(len(data), ChainError, check, found)
    key = outcome(len(data), ChainError, load_key, found)
    if refused(key):
        return False
    assert isinstance(key.loaded.curve, ec.SECP384R1)
    assert key.info == key.loaded.public_bytes(*_SPKI)
    return True


@functools.cache
def certificates() -> tuple[bytes, ...]:
    """Every certificate in the documents."""
    rows = [(*parsed.cabundle, parsed.certificate) for _, parsed in parsed_documents()]
    return tuple(dict.fromkeys(der for row in rows for der in row))


class Faithful(Accelerator):
    """Confirms what ``cryptography`` does."""

    def confirm(self, claim: SignatureClaim) -> bool:
        return check_with_cryptography(claim)

    def prepare(self, claims: Iterable[SignatureClaim]) -> None:
        """Does nothing."""


PATHS = PathVerifier(ROOTS, 1024)
ACCELERATED = PathVerifier(ROOTS, 1024, Faithful().confirms_link, look_ahead=True)


def check_chain(data: bytes) -> bool:
    """A row of certificates, each behind two octets of length: only signed ones make a path.

    An accelerator changes nothing.
    """
    row = []
    while data and len(row) <= MAX_CABUNDLE_CERTIFICATES:
        size = int.from_bytes(data[:2], "big")
        row.append(data[2 : 2 + size])
        data = data[2 + size :]
    if len(row) < 2:
        return False
    path = outcome(0, ChainError, PATHS.verify, tuple(row[:-1]), row[-1])
    ahead = ACCELERATED.read_ahead(tuple(row[:-1]), row[-1])
    accelerated = outcome(0, ChainError, ACCELERATED.verify, tuple(row[:-1]), row[-1])
    assert rejection(accelerated) == rejection(path)
    if refused(path):
        return False
    assert ahead == accelerated.certificates[-len(ahead) :]
    assert ROOTS.find(row[0]) is path.root
    assert [item.parsed.public_bytes(Encoding.DER) for item in path.certificates] == row
    # Anybody can write s as n - s in a certificate too; all else is under the signatures.
    assert signed_part(path) in signed_paths()
    outcome(0, ChainError, check_windows, path, to_milliseconds(WHEN), 0)
    return True


def signed_part(path: CertificatePath) -> tuple[bytes, ...]:
    """Returns the bytes that the signatures of a path cover."""
    return tuple(item.parsed.tbs_certificate_bytes for item in path.certificates)


@functools.cache
def signed_paths() -> frozenset[tuple[bytes, ...]]:
    """The paths of the documents that are paths."""
    found = [
        outcome(0, ChainError, PATHS.verify, parsed.cabundle, parsed.certificate)
        for _, parsed in parsed_documents()
    ]
    return frozenset(signed_part(path) for path in found if not refused(path))


def rows() -> Iterator[bytes]:
    """The certificates of each document, root first."""
    for _, parsed in parsed_documents():
        row = (*parsed.cabundle, parsed.certificate)
        yield b"".join(len(der).to_bytes(2, "big") + der for der in row)


def check_root(data: bytes) -> bool:
    """A root of the caller's: one certificate, self-signed, the same in PEM."""
    found = outcome(len(data), InputError, TrustedRoots.from_pem, data)
    if refused(found):
        return False
    (root,) = found
    assert quietly(x509.load_pem_x509_certificate, data).public_bytes(Encoding.DER) == root.der
    assert found.find(root.der) is root
    return True


def roots() -> Iterator[bytes]:
    """Roots, and what is none."""
    pems = [path.read_bytes() for path in sorted((VECTORS / "conformance/roots").glob("*.pem"))]
    yield from pems
    yield pems[0] + pems[1]
    for der in certificates()[:40]:
        yield b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % encodebytes(der)
    yield from (b"", b"root.pem", b"\n", b"\x30\x03\x02\x01\0", certificates()[0])


_KINDS = (None, "x25519", "ed25519", "p256", "p384", "p521", "secp256k1")


def check_public_key(data: bytes) -> bool:
    """The key in a document; the first octet says what it is said to be."""
    if not data:
        return False
    kind, data = _KINDS[data[0] % len(_KINDS)], data[1:]
    key = outcome(len(data), PolicyError, decode_public_key, data, kind)
    if refused(key):
        return False
    if kind is None:
        der = key.public_bytes(*_SPKI)
        assert load_der_public_key(der).public_bytes(*_SPKI) == der
    elif kind.endswith("25519"):
        assert key.public_bytes_raw() == data
    else:
        assert key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == data
    outcome(len(data), InputError, hpke_suite, key)
    sealed = outcome(len(data), InputError, seal_to, key, b"secret")
    return refused(sealed) or len(sealed) > len(b"secret")


def public_keys() -> Iterator[bytes]:
    """A key of every kind that is read, in every form."""
    fields = [parsed.public_key for _, parsed in parsed_documents() if parsed.public_key]
    yield from (b"\0" + field for field in fields)
    numbers = rsa.RSAPublicNumbers(65537, (1 << 2047) + 9)
    curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1())
    points = [ec.derive_private_key(7, curve).public_key() for curve in curves]
    edwards = [
        kind.from_private_bytes(bytes(range(32))).public_key()
        for kind in (x25519.X25519PrivateKey, ed25519.Ed25519PrivateKey)
    ]
    for key in (numbers.public_key(), *points, *edwards):
        yield b"\0" + key.public_bytes(*_SPKI)
        yield b"\0" + key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for place, key in enumerate(edwards, 1):
        yield bytes([place]) + key.public_bytes_raw()
    for place, key in enumerate(points, 3):
        yield bytes([place]) + key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        yield bytes([place]) + key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    for kind in range(len(_KINDS)):
        yield from (bytes([kind]) + data for data in (b"", b"key", bytes(32), b"\4" + bytes(64)))
    for modulus in ((1 << 2047) + 8, (1 << 1023) + 9):
        yield b"\0" + rsa.RSAPublicNumbers(65537, modulus).public_key().public_bytes(*_SPKI)


def check_list(data: bytes) -> bool:
    """A revocation list: what is accepted is complete, and has each serial number once."""
    found = outcome(len(data), (ChainError, InputError), RevocationList.from_bytes, data)
    if refused(found):
        return False
    assert len(found.serials) == len(found.parsed)
    assert 0 <= found.number < 256**MAX_CRL_NUMBER_OCTETS
    assert all(found.entry(serial).serial_number == serial for serial in found.serials)
    assert found.entry(-1) is None
    known = {"2.5.29.20", "2.5.29.28", "2.5.29.35"}
    assert {e.oid.dotted_string for e in found.parsed.extensions if e.critical} <= known
    again = RevocationList.from_bytes(found.parsed.public_bytes(Encoding.PEM))
    assert again == found
    return True


def lists() -> Iterator[bytes]:
    """An ordinary list, one with entries, one in PEM, and every faulty one."""
    fake = FakeNitro(seed=b"lists")
    yield fake.revocation_list("root", at=WHEN)
    reasons = {5: x509.ReasonFlags.superseded, 2**159: None}
    listed = fake.revocation_list("root", at=WHEN, revoked=reasons)
    yield from (listed, x509.load_der_x509_crl(listed).public_bytes(Encoding.PEM))
    yield from (fake.revocation_list("root", at=WHEN, fault=fault) for fault in LIST_FAULTS)


TARGETS = {
    "certificate": Target(
        check_certificate, certificates, ("verification.certificate",), "der.dict", 1200
    ),
    "chain": Target(
        check_chain,
        rows,
        (
            "verification.path:_walk,_walk_issuers,_read_issuer,_untrusted_root,_check_link,"
            "_path_length_fault,_key_identifier_fault,_check_signature,_check_names,check_windows,"
            "PathVerifier.read_ahead",
            "verification.accelerators.base:link_claim",
        ),
        "der.dict",
        8192,
    ),
    "list": Target(
        check_list,
        lists,
        (
            "verification.crl:RevocationList.from_bytes,RevocationList.entry,_parse,"
            "_read_extensions,_whole_scope,_read_entries,_content",
        ),
        "der.dict",
        2048,
    ),
    "root": Target(
        check_root,
        roots,
        ("verification.roots:TrustedRoots.from_pem,_root_from_pem,_root,_read_self_signed",),
        "der.dict",
    ),
    "public_key": Target(
        check_public_key,
        public_keys,
        ("keys.public_key:decode_public_key,_form,_rejected", "keys.seal:seal_to,hpke_suite"),
        "der.dict",
        2048,
    ),
}
