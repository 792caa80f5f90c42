"""Faults of the certificates and of their order (rules X-1 to X-19)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from nitro_attest.testing import _der as der
from nitro_attest.testing.cases import Fault
from nitro_attest.testing.certificates import ECDSA_WITH_SHA384, CertificateForm, Extension, Key
from nitro_attest.testing.draft import P384_ORDER, Draft, Edit, change
from nitro_attest.testing.pki import (
    authority_key,
    basic_constraints,
    host_name,
    key_usage,
    root_name,
)

ROOT, REGIONAL, ZONAL, INSTANCE, LEAF = range(5)
ROLES: Final = ("root", "regional", "zonal", "instance", "leaf")
BELOW_ROOT: Final = (REGIONAL, ZONAL, INSTANCE, LEAF)

BASIC_CONSTRAINTS: Final = ExtensionOID.BASIC_CONSTRAINTS.dotted_string
KEY_USAGE: Final = ExtensionOID.KEY_USAGE.dotted_string
AUTHORITY_KEY: Final = ExtensionOID.AUTHORITY_KEY_IDENTIFIER.dotted_string

UNKNOWN_OID: Final = "1.3.6.1.4.1.32473.1"
"""Under the enterprise number that RFC 5612 sets aside for examples."""

ECDSA_WITH_SHA256: Final = der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))
ECDSA_WITH_SHA512: Final = der.sequence(der.object_identifier("1.2.840.10045.4.3.4"))
ECDSA_WITH_SHA384_NULL: Final = der.sequence(
    der.object_identifier("1.2.840.10045.4.3.3"), der.tlv(0x05, b"")
)

EC_PUBLIC_KEY: Final = der.object_identifier("1.2.840.10045.2.1")
EC_DH: Final = der.object_identifier("1.3.132.1.12")
SECP384R1: Final = der.object_identifier("1.3.132.0.34")

# SEC 2 section 2.5.1: the prime and the coefficient b of P-384; a is -3.
P384_PRIME: Final = 2**384 - 2**128 - 2**96 + 2**32 - 1
P384_B: Final = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112"
    "0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    16,
)


def path(edit: Callable[[Draft], None]) -> Edit:
    """Changes what the certificates say, before they are issued."""
    return Edit("path", edit)


def certificate(position: int, **changes: Any) -> Edit:
    """Changes parts of one certificate; a function of draft and form gives a part that depends."""

    def apply(draft: Draft) -> None:
        form = draft.path[position]
        made = {
            name: part(draft, form) if callable(part) else part for name, part in changes.items()
        }
        draft.path[position] = replace(form, **made)

    return path(apply)


def rekey(draft: Draft, position: int, key: Key) -> None:
    """Gives a CA another key, also below it; its identifiers keep naming the old one."""
    draft.path[position] = replace(draft.path[position], key=key)
    draft.path[position + 1] = replace(draft.path[position + 1], signer=key)


def weak_key(position: int, curve: ec.EllipticCurve) -> Edit:
    """Gives a CA a key on another curve."""
    return path(lambda draft: rekey(draft, position, draft.ring.key("weak", curve)))


def put(position: int, oid: str, *new: Extension) -> Edit:
    """Replaces the extension of this kind, in its place; without a new one, leave it out."""

    def extensions(draft: Draft, form: CertificateForm) -> tuple[Extension, ...]:
        place = [extension.oid for extension in form.extensions].index(oid)
        return (*form.extensions[:place], *new, *form.extensions[place + 1 :])

    return certificate(position, extensions=extensions)


def add(position: int, *new: Extension) -> Edit:
    """Adds extensions."""
    return certificate(position, extensions=lambda draft, form: (*form.extensions, *new))


def bundle(edit: Callable[[list[bytes]], list[bytes]]) -> Edit:
    """Rearranges the issued certificates above the leaf."""
    return change("chain", cabundle=lambda draft: edit(draft.cabundle))


def without(position: int) -> Edit:
    """Leaves a certificate out of the bundle."""
    return bundle(lambda items: [*items[:position], *items[position + 1 :]])


def leaf_der(edit: Callable[[bytes], bytes]) -> Edit:
    """Changes the bytes of the issued leaf."""
    return change("chain", certificate=lambda draft: edit(draft.certificate))


def issued(draft: Draft) -> datetime:
    """The time at which the leaf was issued."""
    return draft.path[LEAF].not_before + timedelta(seconds=3)


def point(key: Key) -> bytes:
    """The uncompressed public point: the last 97 bytes of the SubjectPublicKeyInfo."""
    return key.spki[-97:]


def spki(parameters: bytes, encode: Callable[[bytes], bytes], oid: bytes = EC_PUBLIC_KEY) -> Edit:
    """Writes the leaf's key with other parameters or another form of its point."""
    return certificate(
        LEAF, spki=lambda draft, form: _encoded_spki(parameters, encode(point(form.key)), oid)
    )


def _encoded_spki(parameters: bytes, encoded: bytes, oid: bytes = EC_PUBLIC_KEY) -> bytes:
    return der.sequence(der.sequence(oid, parameters), der.bit_string(encoded))


def _compressed(full: bytes) -> bytes:
    return bytes([2 | full[-1] & 1]) + full[1:49]


def _explicit_parameters() -> bytes:
    """P-384 spelled out as ECParameters (X9.62), where an attacker may choose the base point."""
    base = ec.derive_private_key(1, ec.SECP384R1()).public_key()
    field = der.sequence(der.object_identifier("1.2.840.10045.1.1"), der.integer(P384_PRIME))
    curve = der.sequence(
        der.octet_string((P384_PRIME - 3).to_bytes(48, "big")),
        der.octet_string(P384_B.to_bytes(48, "big")),
    )
    generator = base.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return der.sequence(
        der.integer(1),
        field,
        curve,
        der.octet_string(generator),
        der.integer(P384_ORDER),
        der.integer(1),
    )


def _ed25519(draft: Draft, form: CertificateForm) -> bytes:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(draft.ring.octets("ed25519", 32))
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _rsa(draft: Draft, form: CertificateForm) -> bytes:
    modulus = int.from_bytes(draft.ring.octets("rsa", 256), "big") | 1 << 2047 | 1
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _self_signed(draft: Draft, subject: bytes, label: str) -> CertificateForm:
    """A CA that answers to nobody."""
    key = draft.ring.key(label)
    return replace(
        draft.path[ROOT],
        subject=subject,
        issuer=subject,
        key=key,
        signer=key,
        serial=draft.ring.serial(label, 16),
        extensions=(basic_constraints(ca=True), key_usage("key_cert_sign")),
    )


def _other_root(draft: Draft, *, common_name: str | None = None) -> None:
    """Builds the whole chain under another root, which copies the identifiers of ours."""
    key = draft.ring.key("other root")
    rekey(draft, ROOT, key)
    draft.path[ROOT] = replace(draft.path[ROOT], signer=key)
    if common_name is not None:
        subject = root_name(common_name)
        draft.path[ROOT] = replace(draft.path[ROOT], subject=subject, issuer=subject)
        draft.path[REGIONAL] = replace(draft.path[REGIONAL], issuer=subject)


def twin_signature(draft: Draft, form: CertificateForm) -> bytes:
    """The other valid signature of a certificate: s replaced by n - s."""
    r, s = decode_dss_signature(x509.load_der_x509_certificate(form.der).signature)
    return encode_dss_signature(r, P384_ORDER - s)


def _prolonged(position: int) -> Edit:
    """Changes a date and keeps the signature."""
    return certificate(
        position,
        not_after=lambda draft, form: form.not_after + timedelta(days=365),
        signature=lambda draft, form: x509.load_der_x509_certificate(form.der).signature,
    )


def _smuggle_stranger(draft: Draft) -> None:
    """Puts a self-signed CA in place of the instance's and lets it issue the leaf."""
    rogue = _self_signed(draft, root_name("rogue.nitro-enclaves"), "rogue")
    leaf = replace(draft.path[LEAF], issuer=rogue.subject, signer=rogue.key)
    draft.path[INSTANCE:] = [rogue, leaf]


def _smuggle_twin_root(draft: Draft) -> None:
    twin = _self_signed(draft, draft.path[ROOT].subject, "twin root")
    draft.path.insert(REGIONAL, twin)
    draft.path[ZONAL] = replace(draft.path[ZONAL], signer=twin.key)


def _crowd(draft: Draft) -> None:
    """Seven CAs of one name, each signed by the one before, and a leaf signed by none of them."""
    root, leaf = draft.path[ROOT], draft.path[LEAF]
    crowd = [root]
    for number in range(7):
        member = _self_signed(draft, root.subject, f"crowd {number}")
        crowd.append(replace(member, signer=crowd[-1].key))
    stranger = draft.ring.key("stranger")
    draft.path = [*crowd, replace(leaf, issuer=root.subject, signer=stranger)]


def _leaf_issues_leaf(draft: Draft) -> None:
    leaf = draft.path[LEAF]
    label = "leaf of a leaf"
    another = replace(leaf, key=draft.ring.key(label), serial=draft.ring.serial(label, 15))
    draft.path.append(replace(another, issuer=leaf.subject, signer=leaf.key))


def _sub_ca(draft: Draft) -> None:
    """A CA that the instance CA issues, beyond its pathLen of 0."""
    instance, leaf = draft.path[INSTANCE], draft.path[LEAF]
    key = draft.ring.key("sub CA")
    sub_ca = replace(
        instance,
        subject=host_name(f"sub.{draft.region}.aws.nitro-enclaves"),
        issuer=instance.subject,
        key=key,
        signer=instance.key,
        serial=draft.ring.serial("sub CA", 20),
        extensions=(basic_constraints(ca=True), key_usage("key_cert_sign")),
    )
    draft.path[LEAF:] = [sub_ca, replace(leaf, issuer=sub_ca.subject, signer=key)]


def _rename(
    position: int, subject: Callable[[bytes], bytes], issuer: Callable[[bytes], bytes]
) -> Edit:
    """Changes the name of a CA and how its child spells it."""

    def apply(draft: Draft) -> None:
        name = draft.path[position].subject
        draft.path[position] = replace(draft.path[position], subject=subject(name))
        draft.path[position + 1] = replace(draft.path[position + 1], issuer=issuer(name))

    return path(apply)


def _same(name: bytes) -> bytes:
    return name


def _pem(certificate_der: bytes) -> bytes:
    body = base64.b64encode(certificate_der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"


_UNCRITICAL_CA: Final = basic_constraints(ca=True)._replace(critical=False)
_SIGNS_DATA: Final = key_usage("digital_signature", "crl_sign")

_FORM: Final = (
    Fault(
        "X-1.zeros",
        "cert.malformed",
        "64 zero bytes in place of the leaf.",
        edit=leaf_der(lambda encoded: bytes(64)),
    ),
    Fault(
        "X-1.cut",
        "cert.malformed",
        "The leaf without its last byte.",
        edit=leaf_der(lambda encoded: encoded[:-1]),
    ),
    Fault(
        "X-1.trailing",
        "cert.malformed",
        "A byte after the leaf: two encodings of one certificate.",
        edit=leaf_der(lambda encoded: encoded + b"\x00"),
    ),
    Fault("X-1.pem", "cert.malformed", "The leaf as PEM text.", edit=leaf_der(_pem)),
    *(
        Fault(
            fault_id,
            "cert.malformed",
            f"The {ROLES[position]} certificate says version {version + 1}.",
            edit=certificate(position, version=version or None),
        )
        for fault_id, position, version in (
            ("X-1.regional-version-1", REGIONAL, 0),
            ("X-1.regional-version-2", REGIONAL, 1),
            ("X-1.regional-version-4", REGIONAL, 3),
            ("X-1.leaf-version-1", LEAF, 0),
            ("X-1.leaf-version-2", LEAF, 1),
            ("X-1.leaf-version-4", LEAF, 3),
        )
    ),
    Fault(
        "X-1.trailing-in-bundle",
        "cert.malformed",
        "A byte after the zonal certificate.",
        edit=bundle(lambda items: [*items[:ZONAL], items[ZONAL] + b"\x00", items[INSTANCE]]),
    ),
    Fault(
        "X-1.empty-serial",
        "cert.malformed",
        "A serial number of no octets.",
        edit=certificate(LEAF, serial=b""),
    ),
    Fault(
        "X-1.padded-serial",
        "cert.malformed",
        "A serial number with a needless zero octet.",
        edit=certificate(LEAF, serial=b"\x00\x01"),
    ),
    Fault(
        "X-1.broken-key-usage",
        "cert.malformed",
        "A keyUsage that is not a bit string.",
        edit=put(LEAF, KEY_USAGE, Extension(KEY_USAGE, False, b"\x05\x00")),
    ),
    Fault(
        "X-1.strange-name",
        "cert.malformed",
        "An alternative name of a kind that libraries refuse to read.",
        edit=add(LEAF, Extension("2.5.29.17", False, der.sequence(der.tlv(0xA3, b"")))),
    ),
    Fault("X-2.zero", "cert.serial", "Serial number 0.", edit=certificate(LEAF, serial=0)),
    Fault(
        "X-2.negative",
        "cert.serial",
        "A negative serial number.",
        edit=certificate(LEAF, serial=-(1 << 100)),
    ),
    Fault(
        "X-2.22-octets",
        "cert.serial",
        "A serial number of 22 octets.",
        edit=certificate(INSTANCE, serial=1 << 168),
    ),
    Fault(
        "X-2.500-bits",
        "cert.serial",
        "A serial number of 500 bits.",
        edit=certificate(REGIONAL, serial=1 << 500),
    ),
)

_ORDER: Final = (
    Fault(
        "X-3.reversed",
        "chain.order",
        "The bundle from the instance up to the root.",
        edit=bundle(lambda items: items[::-1]),
    ),
    Fault(
        "X-3.root-last",
        "chain.order",
        "The root at the end, the rest in order.",
        edit=bundle(lambda items: [*items[1:], items[0]]),
    ),
    Fault(
        "X-3.swapped",
        "chain.order",
        "Zonal and instance certificate in each other's place.",
        edit=bundle(lambda items: [items[ROOT], items[REGIONAL], items[INSTANCE], items[ZONAL]]),
    ),
    Fault(
        "X-4.same-name",
        "chain.untrusted_root",
        "A root of the trusted one's name and identifier with another key, and a whole chain.",
        edit=path(_other_root),
    ),
    Fault(
        "X-4.aws-name",
        "chain.untrusted_root",
        "A home-made root with the name of AWS's, and a whole chain below it.",
        edit=path(lambda draft: _other_root(draft, common_name="aws.nitro-enclaves")),
    ),
    Fault(
        "X-4.twin-signature",
        "chain.untrusted_root",
        "The trusted root with the other form of its signature: not the bytes that are pinned.",
        edit=certificate(ROOT, signature=twin_signature),
    ),
    Fault(
        "X-5.no-root",
        "chain.untrusted_root",
        "A bundle that starts below the root.",
        edit=bundle(lambda items: items[1:]),
    ),
    Fault(
        "X-6.doubled",
        "chain.loop",
        "The regional certificate twice.",
        edit=bundle(lambda items: [*items[:ZONAL], *items[REGIONAL:]]),
    ),
    Fault(
        "X-6.root-doubled",
        "chain.loop",
        "The root twice.",
        edit=bundle(lambda items: [items[ROOT], *items]),
    ),
    Fault(
        "X-6.looped",
        "chain.loop",
        "All but the root a second time.",
        edit=bundle(lambda items: [*items, *items[REGIONAL:]]),
    ),
    Fault(
        "X-6.crowd",
        "chain.signature",
        "Seven CAs of one name: a searching verifier tries them in every order.",
        edit=path(_crowd),
    ),
    *(
        Fault(
            fault_id,
            "chain.name",
            f"A bundle without the {ROLES[position]} certificate.",
            edit=without(position),
        )
        for fault_id, position in (
            ("X-7.no-regional", REGIONAL),
            ("X-7.no-zonal", ZONAL),
            ("X-7.no-instance", INSTANCE),
        )
    ),
    Fault(
        "X-7.stranger",
        "chain.name",
        "A self-signed CA in the bundle, and a leaf that it issued.",
        edit=path(_smuggle_stranger),
    ),
    Fault(
        "X-7.upper-case",
        "chain.name",
        "The leaf spells its issuer in upper case.",
        edit=_rename(INSTANCE, _same, bytes.upper),
    ),
    Fault(
        "X-7.string-type",
        "chain.name",
        "The leaf spells its issuer in another string type.",
        edit=_rename(INSTANCE, _same, lambda name: name.replace(b"\x0c\x03AWS", b"\x13\x03AWS")),
    ),
    Fault(
        "X-7.nameless",
        "chain.name",
        "A CA without a name, and a child that names nobody.",
        edit=_rename(ZONAL, lambda name: der.sequence(), lambda name: der.sequence()),
    ),
    *(
        Fault(
            fault_id,
            "chain.signature",
            f"The {ROLES[position]} certificate signed by a key outside of the chain.",
            edit=certificate(position, signer=lambda draft, form: draft.ring.key("stranger")),
        )
        for fault_id, position in (
            ("X-8.regional-by-stranger", REGIONAL),
            ("X-8.zonal-by-stranger", ZONAL),
            ("X-8.instance-by-stranger", INSTANCE),
            ("X-8.leaf-by-stranger", LEAF),
        )
    ),
    *(
        Fault(
            fault_id,
            "chain.signature",
            f"A year added to the {ROLES[position]} certificate after it was signed.",
            edit=_prolonged(position),
        )
        for fault_id, position in (
            ("X-8.regional-prolonged", REGIONAL),
            ("X-8.zonal-prolonged", ZONAL),
            ("X-8.instance-prolonged", INSTANCE),
            ("X-8.leaf-prolonged", LEAF),
        )
    ),
    Fault(
        "X-8.twin-root",
        "chain.signature",
        "A self-signed CA with the root's name right below it, and a chain under its key.",
        edit=path(_smuggle_twin_root),
    ),
    Fault(
        "X-8.empty-signature",
        "chain.signature",
        "A certificate with a signature of no bytes.",
        edit=certificate(LEAF, signature=b""),
    ),
    Fault(
        "X-8.zero-signature",
        "chain.signature",
        "A certificate signed with r = s = 0.",
        edit=certificate(LEAF, signature=encode_dss_signature(0, 0)),
    ),
    Fault(
        "X-8.raw-signature",
        "chain.signature",
        "A certificate signed in the form of COSE.",
        edit=certificate(LEAF, signature=bytes(range(1, 97))),
    ),
)

_ALGORITHM: Final = (
    *(
        Fault(
            fault_id,
            "cert.algorithm",
            f"A leaf with {what} key.",
            edit=certificate(
                LEAF, spki=lambda draft, form, curve=curve: draft.ring.key("other", curve).spki
            ),
        )
        for fault_id, what, curve in (
            ("X-9.leaf-p256", "a P-256", ec.SECP256R1()),
            ("X-9.leaf-p521", "a P-521", ec.SECP521R1()),
            ("X-9.leaf-secp256k1", "a secp256k1", ec.SECP256K1()),
            ("X-9.leaf-brainpool", "a Brainpool P384r1", ec.BrainpoolP384R1()),
        )
    ),
    Fault(
        "X-9.leaf-ed25519",
        "cert.algorithm",
        "A leaf with an Ed25519 key.",
        edit=certificate(LEAF, spki=_ed25519),
    ),
    Fault(
        "X-9.leaf-rsa",
        "cert.algorithm",
        "A leaf with an RSA key.",
        edit=certificate(LEAF, spki=_rsa),
    ),
    *(
        Fault(fault_id, "cert.algorithm", description, edit=edit)
        for fault_id, description, edit in (
            (
                "X-9.leaf-compressed",
                "A leaf whose point is compressed.",
                spki(SECP384R1, _compressed),
            ),
            (
                "X-9.leaf-hybrid",
                "A leaf whose point is in the hybrid form.",
                spki(SECP384R1, lambda full: bytes([6 | full[-1] & 1]) + full[1:]),
            ),
            (
                "X-9.leaf-off-curve",
                "A leaf whose point is not on the curve.",
                spki(SECP384R1, lambda full: full[:-1] + bytes([full[-1] ^ 1])),
            ),
            (
                "X-9.leaf-infinity",
                "A leaf whose point is the point at infinity.",
                spki(SECP384R1, lambda full: b"\x00"),
            ),
            (
                "X-9.leaf-explicit-curve",
                "A leaf that spells its curve out: with a base point of the attacker's "
                "choice anybody's key can be matched.",
                spki(_explicit_parameters(), _same),
            ),
            (
                "X-9.leaf-implicit-curve",
                "A leaf that inherits its curve.",
                spki(der.tlv(0x05, b""), _same),
            ),
            (
                "X-9.leaf-ecdh",
                "A leaf with a key for agreement, not for signatures.",
                spki(SECP384R1, _same, EC_DH),
            ),
        )
    ),
    *(
        Fault(
            fault_id,
            "cert.algorithm",
            f"A {ROLES[position]} CA with a P-256 key.",
            edit=weak_key(position, ec.SECP256R1()),
        )
        for fault_id, position in (
            ("X-9.regional-p256", REGIONAL),
            ("X-9.zonal-p256", ZONAL),
            ("X-9.instance-p256", INSTANCE),
        )
    ),
    *(
        Fault(
            fault_id,
            "cert.algorithm",
            f"A {ROLES[position]} certificate signed over SHA-256.",
            edit=certificate(
                position,
                digest=hashes.SHA256(),
                inner_algorithm=ECDSA_WITH_SHA256,
                outer_algorithm=ECDSA_WITH_SHA256,
            ),
        )
        for fault_id, position in (
            ("X-9.regional-sha256", REGIONAL),
            ("X-9.zonal-sha256", ZONAL),
            ("X-9.instance-sha256", INSTANCE),
            ("X-9.leaf-sha256", LEAF),
        )
    ),
    Fault(
        "X-9.leaf-sha512",
        "cert.algorithm",
        "A leaf signed over SHA-512.",
        edit=certificate(
            LEAF,
            digest=hashes.SHA512(),
            inner_algorithm=ECDSA_WITH_SHA512,
            outer_algorithm=ECDSA_WITH_SHA512,
        ),
    ),
    Fault(
        "X-9.inner-differs",
        "cert.algorithm",
        "The signed part names SHA-256, the unsigned one SHA-384.",
        edit=certificate(LEAF, inner_algorithm=ECDSA_WITH_SHA256),
    ),
    Fault(
        "X-9.outer-differs",
        "cert.algorithm",
        "The unsigned part names SHA-256, the signed one SHA-384.",
        edit=certificate(LEAF, outer_algorithm=ECDSA_WITH_SHA256),
    ),
    Fault(
        "X-9.inner-differs-with-copy",
        "cert.algorithm",
        "As before, with the bytes of the right algorithm in an extension to mislead a search.",
        edit=certificate(
            LEAF,
            digest=hashes.SHA256(),
            inner_algorithm=ECDSA_WITH_SHA256,
            extensions=lambda draft, form: (
                *form.extensions,
                Extension(UNKNOWN_OID, False, ECDSA_WITH_SHA384),
            ),
        ),
    ),
    Fault(
        "X-9.compressed-with-copy",
        "cert.algorithm",
        "A compressed point, with the bytes of the full key in an extension to mislead a search.",
        edit=certificate(
            LEAF,
            spki=lambda draft, form: _encoded_spki(SECP384R1, _compressed(point(form.key))),
            extensions=lambda draft, form: (
                *form.extensions,
                Extension(UNKNOWN_OID, False, form.key.spki),
            ),
        ),
    ),
    Fault(
        "X-9.no-curve",
        "cert.malformed",
        "A leaf without a curve.",
        edit=spki(b"", _same),
    ),
    Fault(
        "X-9.null-parameters",
        "cert.malformed",
        "Parameters where there must be none.",
        edit=certificate(
            LEAF, inner_algorithm=ECDSA_WITH_SHA384_NULL, outer_algorithm=ECDSA_WITH_SHA384_NULL
        ),
    ),
    Fault(
        "X-9.outer-null-parameters",
        "cert.malformed",
        "Parameters in the algorithm that nothing signs.",
        edit=certificate(
            LEAF, inner_algorithm=ECDSA_WITH_SHA384, outer_algorithm=ECDSA_WITH_SHA384_NULL
        ),
    ),
)

_TIME: Final = (
    *(
        Fault(
            fault_id,
            "cert.expired",
            f"Verified after the {ROLES[position]} certificate ended.",
            edit=certificate(
                position, not_after=lambda draft, form: issued(draft) + timedelta(minutes=10)
            ),
            at_shift=timedelta(minutes=20),
        )
        for fault_id, position in (
            ("X-10.regional-expired", REGIONAL),
            ("X-10.zonal-expired", ZONAL),
            ("X-10.instance-expired", INSTANCE),
        )
    ),
    *(
        Fault(
            fault_id,
            "cert.not_yet_valid",
            f"Verified before the {ROLES[position]} certificate starts.",
            edit=certificate(
                position, not_before=lambda draft, form: issued(draft) + timedelta(minutes=10)
            ),
        )
        for fault_id, position in (
            ("X-10.regional-not-yet-valid", REGIONAL),
            ("X-10.zonal-not-yet-valid", ZONAL),
            ("X-10.instance-not-yet-valid", INSTANCE),
            ("X-10.leaf-not-yet-valid", LEAF),
        )
    ),
    Fault(
        "X-10.leaf-expired",
        "cert.expired",
        "Verified one second after the leaf ended.",
        at_shift=timedelta(hours=3, seconds=1),
    ),
    Fault(
        "X-10.leaf-expired-half-a-second-ago",
        "cert.expired",
        "Verified half a second after the leaf ended: fractions must not be dropped.",
        at_shift=timedelta(hours=3, seconds=0.5),
    ),
    Fault(
        "X-10.leaf-expired-long-ago",
        "cert.expired",
        "A document of last year, replayed.",
        at_shift=timedelta(days=365),
    ),
    Fault(
        "X-10.before-leaf",
        "cert.not_yet_valid",
        "Verified two minutes before the leaf starts, by a clock that is slow.",
        at_shift=timedelta(seconds=-123),
    ),
)

_EXTENSIONS: Final = (
    *(
        Fault(
            fault_id,
            "cert.critical_extension",
            f"A critical extension that nobody knows, in the {ROLES[position]} certificate.",
            edit=add(position, Extension(UNKNOWN_OID, True, der.octet_string(b""))),
        )
        for fault_id, position in (
            ("X-12.regional", REGIONAL),
            ("X-12.zonal", ZONAL),
            ("X-12.instance", INSTANCE),
            ("X-12.leaf", LEAF),
        )
    ),
    Fault(
        "X-12.name-constraints",
        "cert.critical_extension",
        "A critical limit to names, which is known but not obeyed here.",
        edit=add(
            REGIONAL,
            Extension.of(x509.NameConstraints([x509.DNSName("aws.invalid")], None), critical=True),
        ),
    ),
    Fault(
        "X-12.extended-key-usage",
        "cert.critical_extension",
        "A leaf for TLS servers, and critically so.",
        edit=add(
            LEAF,
            Extension.of(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True),
        ),
    ),
    Fault(
        "X-13.key-usage-twice",
        "cert.malformed",
        "Two keyUsages: one reader may sign with it, the other may not.",
        edit=put(LEAF, KEY_USAGE, key_usage("digital_signature"), key_usage("key_agreement")),
    ),
    Fault(
        "X-13.basic-constraints-twice",
        "cert.malformed",
        "A CA and not a CA at once.",
        edit=put(
            INSTANCE,
            BASIC_CONSTRAINTS,
            basic_constraints(ca=False),
            basic_constraints(ca=True, path_length=0),
        ),
    ),
    Fault(
        "X-13.unknown-twice",
        "cert.malformed",
        "An unknown extension twice.",
        edit=add(ZONAL, *[Extension(UNKNOWN_OID, False, der.octet_string(b""))] * 2),
    ),
    *(
        Fault(
            fault_id,
            "cert.not_ca",
            f"The {ROLES[position]} certificate {what}.",
            edit=put(position, BASIC_CONSTRAINTS, *new),
        )
        for fault_id, position, what, new in (
            (
                "X-14.regional-says-no",
                REGIONAL,
                "says that it is no CA",
                (basic_constraints(ca=False),),
            ),
            ("X-14.regional-silent", REGIONAL, "does not say whether it is a CA", ()),
            (
                "X-14.regional-not-critical",
                REGIONAL,
                "says uncritically that it is a CA",
                (_UNCRITICAL_CA,),
            ),
            ("X-14.zonal-says-no", ZONAL, "says that it is no CA", (basic_constraints(ca=False),)),
            ("X-14.zonal-silent", ZONAL, "does not say whether it is a CA", ()),
            (
                "X-14.zonal-not-critical",
                ZONAL,
                "says uncritically that it is a CA",
                (_UNCRITICAL_CA,),
            ),
            (
                "X-14.instance-says-no",
                INSTANCE,
                "says that it is no CA",
                (basic_constraints(ca=False),),
            ),
            ("X-14.instance-silent", INSTANCE, "does not say whether it is a CA", ()),
            (
                "X-14.instance-not-critical",
                INSTANCE,
                "says uncritically that it is a CA",
                (_UNCRITICAL_CA,),
            ),
        )
    ),
    Fault(
        "X-14.leaf-as-issuer",
        "cert.not_ca",
        "An enclave's own certificate issues another one: whoever holds a leaf key could.",
        edit=path(_leaf_issues_leaf),
    ),
    *(
        Fault(
            fault_id,
            "cert.key_usage",
            f"The {ROLES[position]} certificate {what}.",
            edit=put(position, KEY_USAGE, *new),
        )
        for fault_id, position, what, new in (
            ("X-15.regional-silent", REGIONAL, "does not say what its key is for", ()),
            (
                "X-15.regional-signs-data-only",
                REGIONAL,
                "may sign, but no certificates",
                (_SIGNS_DATA,),
            ),
            ("X-15.zonal-silent", ZONAL, "does not say what its key is for", ()),
            ("X-15.zonal-signs-data-only", ZONAL, "may sign, but no certificates", (_SIGNS_DATA,)),
            ("X-15.instance-silent", INSTANCE, "does not say what its key is for", ()),
            (
                "X-15.instance-signs-data-only",
                INSTANCE,
                "may sign, but no certificates",
                (_SIGNS_DATA,),
            ),
        )
    ),
    *(
        Fault(
            fault_id,
            "cert.path_length",
            f"The {ROLES[position]} CA allows {allowed} CAs below it; there is one more.",
            edit=put(position, BASIC_CONSTRAINTS, basic_constraints(ca=True, path_length=allowed)),
        )
        for fault_id, position, allowed in (
            ("X-16.regional-allows-1", REGIONAL, 1),
            ("X-16.zonal-allows-0", ZONAL, 0),
        )
    ),
    Fault(
        "X-16.regional-allows-none",
        "cert.path_length",
        "A regional CA that allows no CA below.",
        edit=put(REGIONAL, BASIC_CONSTRAINTS, basic_constraints(ca=True, path_length=0)),
    ),
    Fault(
        "X-16.instance-sub-ca",
        "cert.path_length",
        "A CA below the instance's: a host makes itself an authority.",
        edit=path(_sub_ca),
    ),
    *(
        Fault(fault_id, "cert.leaf_usage", f"A leaf {what}.", edit=edit)
        for fault_id, what, edit in (
            ("X-17.no-key-usage", "that does not say what its key is for", put(LEAF, KEY_USAGE)),
            (
                "X-17.non-repudiation-only",
                "that may not sign data",
                put(LEAF, KEY_USAGE, key_usage("content_commitment", critical=False)),
            ),
            (
                "X-17.certificate-signing-only",
                "that may sign certificates only",
                put(LEAF, KEY_USAGE, key_usage("key_cert_sign")),
            ),
            (
                "X-17.no-basic-constraints",
                "that does not say whether it is a CA",
                put(LEAF, BASIC_CONSTRAINTS),
            ),
            (
                "X-17.basic-constraints-not-critical",
                "that says uncritically that it is no CA",
                put(LEAF, BASIC_CONSTRAINTS, basic_constraints(ca=False)._replace(critical=False)),
            ),
            ("X-17.ca", "that is a CA", put(LEAF, BASIC_CONSTRAINTS, basic_constraints(ca=True))),
        )
    ),
    Fault(
        "X-17.path-length",
        "cert.malformed",
        "A leaf that is no CA but limits those below it.",
        edit=put(
            LEAF,
            BASIC_CONSTRAINTS,
            Extension(BASIC_CONSTRAINTS, True, der.sequence(der.integer(0))),
        ),
    ),
    Fault(
        "X-18.leaf-in-bundle",
        "chain.order",
        "The leaf stands in the bundle too, where only CAs may stand.",
        edit=change("chain", cabundle=lambda draft: [*draft.cabundle, draft.certificate]),
    ),
    Fault(
        "X-18.signed-by-issuer",
        "signature.invalid",
        "The document is signed by the instance CA, whose certificate is in the path.",
        edit=change("payload", signing_key=lambda draft: draft.path[INSTANCE].key),
    ),
    *(
        Fault(
            fault_id,
            "chain.key_id",
            f"The {ROLES[position]} certificate names another key of its issuer.",
            edit=put(position, AUTHORITY_KEY, authority_key(bytes(20))),
        )
        for fault_id, position in (
            ("X-19.regional", REGIONAL),
            ("X-19.zonal", ZONAL),
            ("X-19.instance", INSTANCE),
        )
    ),
    Fault(
        "X-19.leaf",
        "chain.key_id",
        "The leaf names another key of its issuer.",
        edit=add(LEAF, authority_key(bytes(20))),
    ),
)

FAULTS: Final = (*_FORM, *_ORDER, *_ALGORITHM, *_TIME, *_EXTENSIONS)
