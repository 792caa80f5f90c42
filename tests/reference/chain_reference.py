"""The certificate rules (X-1 to X-19) once more, slowly and plainly.

Written from docs/reference/rules.md for comparison with the chain module, and sharing nothing with
it: no code, no constants, and no X.509 library. It reads DER by hand and borrows nothing but the
mathematics of ECDSA.

The order is that of docs/explanation/architecture.md: copies, rules of single certificates, the
root, the links downwards, the times. Where that leaves open which of several certificates comes
first, the signing certificate's own rules and times do, then the others': rules from the root
downwards, times from the leaf upwards. X-9 is judged in two places: the forms of algorithm and key
with the single certificate, that the algorithm inside is the one outside and that the key is a
point of the curve where the key is used.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.hashes import SHA384

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x01, 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31
VERSION, ISSUER_ID, SUBJECT_ID, EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3

ECDSA_WITH_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")  # no parameters
P384_KEY = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")  # then x and y
COORDINATE = 48
PRIME = 2**384 - 2**128 - 2**96 + 2**32 - 1
B = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112"
    "0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    16,
)

SUBJECT_KEY, KEY_USAGE, BASIC_CONSTRAINTS, AUTHORITY_KEY = (
    bytes([0x55, 0x1D, number]) for number in (14, 15, 19, 35)
)
DIGITAL_SIGNATURE, KEY_CERT_SIGN = 0, 5
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class BrokenError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def require(condition, code):
    if not condition:
        raise BrokenError(code)


# ---- DER (X.690) --------------------------------------------------------------------------------


def well_formed(condition):
    require(condition, "cert.malformed")


@dataclass
class Element:
    tag: int
    content: bytes
    whole: bytes


def first_element(data):
    """The element at the start of the data; its length in the shortest form."""
    well_formed(len(data) >= 2 and data[0] & 0x1F != 0x1F)
    start, length = 2, data[1]
    if length >= 0x80:
        start += length - 0x80
        octets = data[2:start]
        well_formed(1 <= len(octets) == length - 0x80 <= 4 and octets[0] != 0)
        length = int.from_bytes(octets, "big")
        well_formed(length >= 0x80)
    well_formed(len(data) >= start + length)
    return Element(data[0], data[start : start + length], data[: start + length])


def elements(data):
    found = []
    while data:
        found.append(first_element(data))
        data = data[len(found[-1].whole) :]
    return found


def inside(element, tag):
    well_formed(element.tag == tag)
    return elements(element.content)


def only(found):
    well_formed(len(found) == 1)
    return found[0]


def take(rest, tag):
    """The content of the next element, which must be of this tag."""
    well_formed(rest and rest[0].tag == tag)
    return rest.pop(0).content


def take_if(rest, tag):
    return take(rest, tag) if rest and rest[0].tag == tag else None


def integer(content):
    well_formed(content)
    padded = len(content) > 1 and content[0] in (0x00, 0xFF)
    well_formed(not padded or content[0] >> 7 != content[1] >> 7)
    return int.from_bytes(content, "big", signed=True)


def flag(rest):
    """A BOOLEAN DEFAULT FALSE; DER writes no defaults (X.690 section 11.5)."""
    content = take_if(rest, BOOLEAN)
    well_formed(content in (None, b"\xff"))
    return content is not None


def object_identifier(content):
    """Every arc is there to its end, and begins with no needless septet (X.690 section 8.19)."""
    well_formed(content and content[-1] < 0x80)
    starts = b"\x00" + content[:-1]
    well_formed(not any(a < 0x80 and b == 0x80 for a, b in zip(starts, content, strict=True)))
    return content


def bit_string(content):
    """The number of unused bits of the last octet, and the octets."""
    well_formed(content and content[0] <= 7 and (len(content) > 1 or content[0] == 0))
    spare, octets = content[0], content[1:]
    well_formed(not octets or octets[-1] & ((1 << spare) - 1) == 0)
    return spare, octets


def milliseconds(element):
    """X-11: both forms of a time, in UTC and whole seconds."""
    text = element.content.decode("latin-1")
    digits = {UTC_TIME: 12, GENERALIZED_TIME: 14}.get(element.tag)
    well_formed(len(text) - 1 == digits and text[-1] == "Z")
    well_formed(text[:-1].isascii() and text[:-1].isdigit())
    if element.tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    fields = [int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))]
    try:
        moment = datetime(*fields, tzinfo=timezone.utc)
    except ValueError:
        raise BrokenError("cert.malformed") from None
    return (moment - EPOCH) // timedelta(milliseconds=1)


# ---- One certificate ----------------------------------------------------------------------------


@dataclass
class Certificate:
    signed: bytes
    algorithms: tuple
    signature: tuple
    serial: bytes
    issuer: bytes
    subject: bytes
    window: tuple
    key: bytes
    critical: dict
    values: dict
    unopened: set  # what no rule is about, so that nobody here has looked inside


def read(der):
    """X-1, X-13: RFC 5280 section 4.1."""
    outer = first_element(der)
    well_formed(outer.whole == der)
    parts = inside(outer, SEQUENCE)
    well_formed([part.tag for part in parts] == [SEQUENCE, SEQUENCE, BIT_STRING])
    signed, algorithm, signature = parts
    rest = elements(signed.content)
    version = only(elements(take(rest, VERSION)))
    well_formed((version.tag, version.content) == (INTEGER, b"\x02"))
    serial = take(rest, INTEGER)
    integer(serial)
    well_formed([part.tag for part in rest[:5]] == [SEQUENCE] * 5)
    inner, issuer, validity, subject, key = rest[:5]
    times = elements(validity.content)
    well_formed(len(times) == 2)
    rest = rest[5:]
    for unique_identifier in (ISSUER_ID, SUBJECT_ID):
        content = take_if(rest, unique_identifier)
        well_formed(content is None or bit_string(content))
    critical, values, unopened = read_extensions(rest)
    return Certificate(
        signed=signed.whole,
        algorithms=(inner.whole, algorithm.whole),
        signature=bit_string(signature.content),
        serial=serial,
        issuer=issuer.whole,
        subject=subject.whole,
        window=(milliseconds(times[0]), milliseconds(times[1])),
        key=key.whole,
        critical=critical,
        values=values,
        unopened=unopened | attributes(issuer) | attributes(subject),
    )


def attributes(name):
    """Returns the bytes of a Name, not decoded: names are compared as bytes (X-7)."""
    found = set()
    for relative in inside(name, SEQUENCE):
        well_formed(relative.content)
        for attribute in inside(relative, SET):
            parts = inside(attribute, SEQUENCE)
            object_identifier(take(parts, OID))
            well_formed(len(parts) == 1)
            found.add(attribute.whole)
    return found


def read_extensions(rest):
    """By object identifier: whether it is critical, and what it says where that is our business."""
    critical, values, unopened = {}, {}, set()
    if not rest:
        return critical, values, unopened
    for extension in inside(only(elements(take(rest, EXTENSIONS))), SEQUENCE):
        parts = inside(extension, SEQUENCE)
        oid = object_identifier(take(parts, OID))
        well_formed(oid not in critical)
        critical[oid] = flag(parts)
        content = take(parts, OCTET_STRING)
        well_formed(not parts)
        if oid in READERS:
            values[oid] = READERS[oid](only(elements(content)))
        else:
            unopened.add(extension.whole)
    well_formed(not rest)
    return critical, values, unopened


def read_basic_constraints(value):
    parts = inside(value, SEQUENCE)
    authority = flag(parts)
    length = take_if(parts, INTEGER)
    well_formed(not parts and (length is None or integer(length) >= 0))
    return authority, None if length is None else integer(length)


def read_key_usage(value):
    well_formed(value.tag == BIT_STRING)
    _, octets = bit_string(value.content)
    return {8 * i + j for i, octet in enumerate(octets) for j in range(8) if octet << j & 0x80}


def read_subject_key(value):
    well_formed(value.tag == OCTET_STRING)
    return value.content


def read_authority_key(value):
    """RFC 5280 section 4.2.1.1: the keyIdentifier; issuer and serial come together or not."""
    parts = inside(value, SEQUENCE)
    identifier = take_if(parts, 0x80)
    well_formed([part.tag for part in parts] in ([], [0xA1, 0x82]))
    return identifier


READERS = {
    BASIC_CONSTRAINTS: read_basic_constraints,
    KEY_USAGE: read_key_usage,
    SUBJECT_KEY: read_subject_key,
    AUTHORITY_KEY: read_authority_key,
}


def check_single(certificate):
    require(integer(certificate.serial) > 0 and len(certificate.serial) <= 21, "cert.serial")
    require(certificate.algorithms[1] == ECDSA_WITH_SHA384, "cert.algorithm")
    require(certificate.key[: -2 * COORDINATE] == P384_KEY, "cert.algorithm")
    understood = {BASIC_CONSTRAINTS, KEY_USAGE}
    critical = {oid for oid, marked in certificate.critical.items() if marked}
    require(critical <= understood, "cert.critical_extension")


def public_numbers(certificate):
    """X-9: the point of the key, which must lie on the curve."""
    encoded = certificate.key[-2 * COORDINATE :]
    x, y = (int.from_bytes(half, "big") for half in (encoded[:COORDINATE], encoded[COORDINATE:]))
    require(x < PRIME and y < PRIME and (y * y - x**3 + 3 * x - B) % PRIME == 0, "cert.algorithm")
    return EllipticCurvePublicNumbers(x, y, SECP384R1())


def check_issuer(certificate):
    check_single(certificate)
    authority, _ = certificate.values.get(BASIC_CONSTRAINTS, (False, None))
    require(authority and certificate.critical[BASIC_CONSTRAINTS], "cert.not_ca")
    require(KEY_CERT_SIGN in certificate.values.get(KEY_USAGE, ()), "cert.key_usage")


def check_leaf(certificate):
    check_single(certificate)
    constraints = certificate.values.get(BASIC_CONSTRAINTS)
    require(constraints == (False, None), "cert.leaf_usage")
    require(certificate.critical[BASIC_CONSTRAINTS], "cert.leaf_usage")
    require(DIGITAL_SIGNATURE in certificate.values.get(KEY_USAGE, ()), "cert.leaf_usage")


# ---- The path -----------------------------------------------------------------------------------


def judge(cabundle, leaf, root, at_ms, skew_ms=0):
    """The code of the first rule that is broken, or None; and every certificate's window.

    Args:
        cabundle: DER of the issuers, as in the document.
        leaf: DER of the signing certificate.
        root: DER of the one trusted root.
        at_ms: The verification time, milliseconds since 1970.
        skew_ms: How far the clock may be behind.
    """
    try:
        path = walk(cabundle, leaf, root)
    except BrokenError as broken:
        return broken.code, None
    windows = [certificate.window for certificate in path]
    return outside(windows, at_ms, skew_ms), windows


def outside(windows, at_ms, skew_ms=0):
    """X-10: what is wrong with a time, by the first window from the leaf upwards to exclude it."""
    for start, end in reversed(windows):
        if at_ms > end:
            return "cert.expired"
        if at_ms < start - skew_ms:
            return "cert.not_yet_valid"
    return None


def walk(cabundle, leaf, root):
    """X-1 to X-9 and X-12 to X-19: the certificates, root first.

    Raises:
        BrokenError: The first rule that is broken.
    """
    require(leaf not in cabundle, "chain.order")
    require(len(set(cabundle)) == len(cabundle), "chain.loop")
    signer = read(leaf)
    check_leaf(signer)
    issuers = []
    for der in cabundle:
        issuers.append(read(der))
        check_issuer(issuers[-1])
    if cabundle[0] != root:
        raise BrokenError("chain.order" if root in cabundle else "chain.untrusted_root")
    path = [*issuers, signer]
    for depth, (parent, child) in enumerate(pairwise(path)):
        check_link(parent, child, issuers, authorities_below=len(issuers) - 1 - depth)
    public_numbers(signer)
    return path


def check_link(parent, child, issuers, authorities_below):
    require(len(parent.subject) > 2, "chain.name")
    if child.issuer != parent.subject:
        # X-3 where another issuer in the bundle bears that name, X-7 where none does.
        named = any(child.issuer == other.subject for other in issuers if other is not child)
        raise BrokenError("chain.order" if named else "chain.name")
    _, limit = parent.values[BASIC_CONSTRAINTS]
    require(limit is None or authorities_below <= limit, "cert.path_length")
    expected, found = parent.values.get(SUBJECT_KEY), child.values.get(AUTHORITY_KEY)
    require(None in (expected, found) or expected == found, "chain.key_id")
    inner, outer = child.algorithms
    require(inner == outer, "cert.algorithm")
    key = public_numbers(parent).public_key()
    spare, signature = child.signature
    require(spare == 0, "chain.signature")
    try:
        key.verify(signature, child.signed, ECDSA(SHA384()))
    except InvalidSignature:
        raise BrokenError("chain.signature") from None
