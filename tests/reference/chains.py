"""Chains of certificates to judge: honest ones with up to four things done to them."""

from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import strategies as st

from nitro_attest.testing import _der as der
from nitro_attest.testing.certificates import ECDSA_WITH_SHA384, Extension
from nitro_attest.testing.faults import chain as faults
from nitro_attest.testing.pki import EPOCH, authority_key, basic_constraints, key_usage, subject_key

SKEWS = (0, 1, 60_000, 300_000)
SHIFTS = (timedelta(0), timedelta(milliseconds=1), timedelta(milliseconds=999), timedelta(hours=1))

CONSTRAINTS = [
    *(basic_constraints(ca=True, path_length=length) for length in (None, 0, 1, 2, 3, 300)),
    basic_constraints(ca=False),
    *(
        Extension(faults.BASIC_CONSTRAINTS, True, der.sequence(*parts))
        for parts in (
            [der.tlv(0x01, b"\x00")],
            [der.tlv(0x01, b"\x01")],
            [der.integer(0)],
            [der.tlv(0x01, b"\xff"), der.integer(-1)],
            [der.tlv(0x01, b"\xff"), der.tlv(0x02, b"\x00\x01")],
            [der.tlv(0x01, b"\xff"), der.integer(1), der.integer(1)],
        )
    ),
]
USAGES = [
    *(key_usage(*bits) for bits in (["digital_signature"], ["key_cert_sign"], ["crl_sign"], [])),
    key_usage("digital_signature", "key_cert_sign"),
    *(
        Extension(faults.KEY_USAGE, True, der.tlv(0x03, content))
        for content in (
            b"\x00\x80",
            b"\x00\x84",
            b"\x02\x04",
            b"\x03\x04",
            b"\x08\x00",
            b"",
            b"\x00",
        )
    ),
]
IDENTIFIERS = [
    *(make(octets) for make in (subject_key, authority_key) for octets in (b"", b"id", bytes(20))),
    Extension(faults.AUTHORITY_KEY, False, der.sequence()),
    Extension(faults.AUTHORITY_KEY, False, der.sequence(der.tlv(0x82, b"\x01"))),
    Extension(faults.AUTHORITY_KEY, True, der.sequence(der.tlv(0x80, b"id"))),
]
UNKNOWN = [Extension(faults.UNKNOWN_OID, critical, b"") for critical in (False, True)]
EXTENSIONS = CONSTRAINTS + USAGES + IDENTIFIERS + UNKNOWN

POINT = ec.derive_private_key(5, ec.SECP384R1()).public_key().public_numbers()
KEYS = [
    *(
        faults._encoded_spki(parameters, encoded, oid)
        for parameters in (faults.SECP384R1, b"", der.tlv(0x05, b""))
        for oid in (faults.EC_PUBLIC_KEY, faults.EC_DH)
        for encoded in (
            b"\x04" + POINT.x.to_bytes(48, "big") + POINT.y.to_bytes(48, "big"),
            b"\x04" + POINT.x.to_bytes(48, "big") + (POINT.y ^ 1).to_bytes(48, "big"),
            bytes([2 | POINT.y & 1]) + POINT.x.to_bytes(48, "big"),
            b"\x04" + b"\xff" * 96,
            b"\x00",
        )
    ),
    der.sequence(),
]
ALGORITHMS = [
    *(ECDSA_WITH_SHA384, faults.ECDSA_WITH_SHA256, faults.ECDSA_WITH_SHA512),
    faults.ECDSA_WITH_SHA384_NULL,
]
PARTS = {
    "serial": [
        *(0, 1, -1, -(1 << 167), *(1 << bits for bits in (127, 159, 160, 167, 168, 1000))),
        *(b"", b"\x00", b"\x00\x01", b"\xff\xff", b"\x00\x80"),
    ],
    "version": [None, 0, 1, 3],
    "generalized": [False, True],
    "spki": KEYS,
    "digest": [hashes.SHA256(), hashes.SHA512()],
    "inner_algorithm": ALGORITHMS,
    "outer_algorithm": ALGORITHMS,
    "signature": [b"", bytes(96), bytes(126), bytes(127), bytes(300), encode_dss_signature(1, 1)],
}


@st.composite
def chains(draw, honest, ring):
    """A cabundle, a signing certificate, a time in milliseconds and a clock skew.

    Args:
        honest: The forms of five certificates, root first.
        ring: Where further keys come from.
    """
    path = list(honest)
    for edit in draw(st.lists(st.sampled_from(FORM_EDITS), max_size=3)):
        edit(draw, path, ring)
    whole = [issue(form) for form in path]
    for edit in draw(st.lists(st.sampled_from(BYTE_EDITS), max_size=1)):
        edit(draw, whole, path)
    *cabundle, leaf = whole
    at_ms, skew_ms = draw(times(path))
    return cabundle, leaf, at_ms, skew_ms


@st.composite
def times(draw, path):
    """A time at or near an end of a certificate's validity, or while all honest ones are valid."""
    skew = timedelta(milliseconds=draw(st.sampled_from(SKEWS)))
    made = path[-1].not_before + timedelta(seconds=3)
    edges = [(form.not_before - skew, form.not_after) for form in path]
    at = draw(st.sampled_from([made, *(edge for both in edges for edge in both)]))
    shift = draw(st.sampled_from(SHIFTS)) * draw(st.sampled_from([-1, 1]))
    millisecond = timedelta(milliseconds=1)
    return (at + shift - EPOCH) // millisecond, skew // millisecond


def issue(form, edit=lambda signed: signed):
    """A certificate whose signed part was edited before its issuer signed it."""
    signed = edit(form._to_be_signed())
    signature = form.signature
    if signature is None:
        signature = form.signer.sign(signed, form.digest)
    return der.sequence(signed, form.outer_algorithm, der.bit_string(signature))


# ---- What a certificate says --------------------------------------------------------------------


def position_in(draw, items):
    return draw(st.integers(0, len(items) - 1))


def say(draw, path, ring):
    """Another value of one part."""
    position = position_in(draw, path)
    part = draw(st.sampled_from(sorted(PARTS)))
    value = draw(st.sampled_from(PARTS[part]))
    path[position] = replace(path[position], **{part: value})


def last(draw, path, ring):
    """Other dates."""
    position = position_in(draw, path)
    part = draw(st.sampled_from(["not_before", "not_after"]))
    seconds = draw(st.sampled_from([-7200, -1, 0, 1, 600, 10**9]))
    moment = path[-1].not_before + timedelta(seconds=seconds)
    path[position] = replace(path[position], **{part: moment})


def rename(draw, path, ring):
    """Another name for a certificate, for its issuer, or for both ends of one link."""
    position = position_in(draw, path[1:])
    honest = path[draw(st.integers(0, len(path) - 1))].subject
    name = draw(
        st.sampled_from(
            [honest, honest.upper(), honest.replace(b"\x0c\x03AWS", b"\x13\x03AWS"), der.sequence()]
        )
    )
    ends = draw(st.sampled_from(["parent", "child", "both"]))
    if ends != "child":
        path[position] = replace(path[position], subject=name)
    if ends != "parent":
        path[position + 1] = replace(path[position + 1], issuer=name)


def rekey(draw, path, ring):
    """Another key for an issuer, which its child's signature follows or does not."""
    position = position_in(draw, path[1:])
    curve = draw(st.sampled_from([ec.SECP384R1(), ec.SECP384R1(), ec.SECP256R1(), ec.SECP521R1()]))
    key = ring.key("another", curve)
    who = draw(st.sampled_from(["parent", "child", "both"]))
    if who != "child":
        path[position] = replace(path[position], key=key)
    if who != "parent":
        path[position + 1] = replace(path[position + 1], signer=key)


def extend(draw, path, ring):
    """An extension more, less, twice, in the place of one, or of another criticality."""
    position = position_in(draw, path)
    extensions = list(path[position].extensions)
    new = draw(st.sampled_from(EXTENSIONS))
    place = position_in(draw, extensions) if extensions else None
    how = draw(st.sampled_from(["add", "drop", "double", "replace", "toggle", "shuffle"]))
    if place is None or how == "add":
        extensions.append(new)
    elif how == "drop":
        del extensions[place]
    elif how == "double":
        extensions.append(extensions[place])
    elif how == "replace":
        alike = [place for place, old in enumerate(extensions) if old.oid == new.oid]
        extensions[alike[0] if alike else place] = new
    elif how == "toggle":
        old = extensions[place]
        extensions[place] = old._replace(critical=not old.critical)
    else:
        extensions = draw(st.permutations(extensions))
    path[position] = replace(path[position], extensions=tuple(extensions))


def lengthen(draw, path, ring):
    """A CA more: one of the chain's, under a new name and key, issued by the one above it."""
    position = draw(st.integers(1, len(path) - 1))
    if len(path) == 9:
        return
    above, below = path[position - 1], path[position]
    key = ring.key(f"CA {len(path)}")
    new = replace(
        above,
        subject=above.subject.replace(b"aws", b"aw%d" % len(path)),
        issuer=above.subject,
        key=key,
        signer=above.key,
        serial=len(path),
        extensions=tuple(item for item in above.extensions if item.oid not in IDENTIFYING),
    )
    path[position:] = [new, replace(below, issuer=new.subject, signer=key), *path[position + 1 :]]


IDENTIFYING = {subject_key(b"").oid, authority_key(b"").oid}
FORM_EDITS = [say, say, last, rename, rekey, extend, extend, lengthen]


# ---- What is done to issued certificates --------------------------------------------------------


def rearrange(draw, whole, path):
    """The same certificates in another order."""
    whole[:] = draw(st.permutations(whole))


def drop(draw, whole, path):
    """A certificate less."""
    if len(whole) > 2:
        del whole[position_in(draw, whole)]


def double(draw, whole, path):
    """A certificate again, anywhere."""
    if len(whole) < 9:
        again = whole[position_in(draw, whole)]
        whole.insert(position_in(draw, whole), again)


def damage(draw, whole, path):
    """One octet changed, added or left out, after signing."""
    position = position_in(draw, whole)
    whole[position] = draw(damaged(whole[position]))


def sign_damage(draw, whole, path):
    """The same before signing."""
    position = position_in(draw, path)
    whole[position] = issue(path[position], lambda signed: draw(damaged(signed)))


@st.composite
def damaged(draw, octets):
    place = position_in(draw, octets)
    octet = bytes([draw(st.integers(0, 255))])
    after = draw(st.sampled_from([octets[place:], octets[place + 1 :]]))
    return octets[:place] + draw(st.sampled_from([octet, b""])) + after


BYTE_EDITS = [rearrange, drop, double, damage, sign_damage]
