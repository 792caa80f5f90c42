"""The byte rules of an attestation document (C-1 to C-13, P-*) once more, slowly and plainly.

Written from docs/reference/rules.md for comparison with the C core, and sharing nothing with it:
no code, no constants. It copies freely, raises from anywhere and leans on Python for integers
without bounds and for UTF-8. Items are judged in the order in which they stand; within an item the
form of its head comes first, then its type, then its size, then its content.
"""

import re
from dataclasses import dataclass

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
NULL, UNDEFINED = 22, 23
MANDATORY = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")


class RejectedError(Exception):
    def __init__(self, code, offset):
        super().__init__(code, offset)
        self.code = code
        self.offset = offset


@dataclass
class Head:
    start: int
    major: int
    info: int
    argument: int | None  # None: indefinite length, or a break

    @property
    def is_break(self):
        return self.major == SIMPLE and self.argument is None


class Bytes:
    """The rest of an input."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise RejectedError("cbor.truncated", len(self.data))
        self.at += count
        return taken

    def peek(self):
        return self.data[self.at : self.at + 1]

    def head(self):
        """RFC 8949 section 3, in the shortest form (C-11, P-3)."""
        start = self.at
        first = self.take(1)[0]
        major, info = divmod(first, 32)
        if info < 24:
            return Head(start, major, info, info)
        if info in (24, 25, 26, 27):
            argument = int.from_bytes(self.take({24: 1, 25: 2, 26: 4, 27: 8}[info]), "big")
            if major != SIMPLE and info != shortest_info(argument):
                raise RejectedError("cbor.not_minimal", start)
            return Head(start, major, info, argument)
        if info == 31 and major in (BYTES, TEXT, ARRAY, MAP, SIMPLE):
            return Head(start, major, info, None)
        raise RejectedError("cbor.reserved", start)

    def end(self):
        if self.at != len(self.data):
            raise RejectedError("cbor.trailing", self.at)


def shortest_info(argument):
    """The additional information with which RFC 8949 section 4.2.1 wants this argument written."""
    if argument <= 23:
        return argument
    if argument <= 0xFF:
        return 24
    if argument <= 0xFFFF:
        return 25
    if argument <= 0xFFFFFFFF:
        return 26
    return 27


def parse(document, public_key=1024, user_data=1024, nonce=1024, unknown_fields=0):
    """Every field of a document by name, or RejectedError; the numbers are the limits."""
    protected, payload_at, payload, signature = envelope(document)
    limits = {"public_key": public_key, "user_data": user_data, "nonce": nonce}
    try:
        fields = payload_fields(payload, limits, unknown_fields)
    except RejectedError as rejected:
        raise RejectedError(rejected.code, payload_at + rejected.offset) from None
    return {"protected": protected, "payload": payload, "signature": signature, **fields}


# The envelope.


def envelope(document):
    if len(document) == 0:
        raise RejectedError("document.empty", 0)
    if len(document) > 16384:
        raise RejectedError("document.too_large", 0)
    rest = Bytes(document)
    skip_tag(rest)
    four_elements(rest)
    protected = protected_header(rest)
    unprotected_header(rest)
    payload = element(rest, range(1, 16277), "cose.payload")
    payload_at = rest.at - len(payload)
    signature = element(rest, [96], "cose.signature_length")
    rest.end()
    return protected, payload_at, payload, signature


def skip_tag(rest):
    """C-4."""
    if rest.peek() == b"\xd2":
        rest.take(1)
    if rest.peek() and rest.peek()[0] >> 5 == TAG:
        start = rest.at
        try:
            rest.head()
        except RejectedError as rejected:
            if rejected.code != "cbor.not_minimal":
                raise
        raise RejectedError("cose.tag", start)


def four_elements(rest):
    """C-5; C-3 where the whole input is text."""
    start = rest.at
    if rest.take(1) != b"\x84":
        is_text = re.fullmatch(rb"[\t\n\r -~]*", rest.data)
        raise RejectedError("document.encoding" if is_text else "cose.array", start)


def protected_header(rest):
    """C-6, C-7."""
    start = rest.at
    content = element(rest, [4], "cose.protected")
    if content != bytes.fromhex("a1013822"):
        raise RejectedError("cose.protected", start)
    return content


def unprotected_header(rest):
    """C-8."""
    start = rest.at
    if rest.take(1) != b"\xa0":
        raise RejectedError("cose.unprotected", start)


def element(rest, sizes, code):
    """C-9, C-10: a byte string of one of the given sizes."""
    head = rest.head()
    if head.major != BYTES:
        raise RejectedError(code, head.start)
    if head.argument is None:
        raise RejectedError("cbor.indefinite", head.start)
    if head.argument not in sizes:
        raise RejectedError(code, head.start)
    return rest.take(head.argument)


# The payload.


KNOWN = (*MANDATORY, "nitrotpm_pcrs", "public_key", "user_data", "nonce")


def payload_fields(payload, limits, unknown_fields):
    rest = Bytes(payload)
    found, unknown = {}, {}
    for name in keys(rest):
        if name in found or name in unknown:
            raise RejectedError("payload.duplicate", rest.key_at)
        if name not in KNOWN:
            if len(unknown) == unknown_fields:
                raise RejectedError("payload.unknown_key", rest.key_at)
            start = rest.at
            item(rest, 4)
            unknown[name] = payload[start : rest.at]
            continue
        if {"pcrs", "nitrotpm_pcrs"} <= {name, *found}:
            raise RejectedError("payload.kind", rest.key_at)
        found[name] = value(rest, name, limits)
    rest.end()
    for name in MANDATORY:
        if name not in found and not (name == "pcrs" and "nitrotpm_pcrs" in found):
            raise RejectedError("payload.missing", len(payload))
    kind = "enclave" if "pcrs" in found else "nitrotpm"
    return {
        "kind": kind,
        "timestamp_ms": found["timestamp"],
        "pcrs": found["pcrs" if kind == "enclave" else "nitrotpm_pcrs"],
        **{name: found[name] for name in ("module_id", "digest", "certificate", "cabundle")},
        **{name: found.get(name) for name in ("public_key", "user_data", "nonce")},
        "unknown": unknown,
    }


def keys(rest):
    """P-1, P-4, P-5: the keys of the outer map one after the other; the reader takes the values."""
    top = rest.head()
    if top.major != MAP:
        raise RejectedError("payload.not_map", top.start)
    for head in entries(rest, top):
        if head.major != TEXT:
            raise RejectedError("payload.key_type", head.start)
        name = definite_text(rest, head)
        rest.key_at = head.start
        yield name


def entries(rest, container):
    """P-2, P-4: the first head of each entry of a map or array; the reader takes what follows."""
    read = 0
    while container.argument is None or read < container.argument:
        head = rest.head()
        if head.is_break:
            if container.argument is None:
                return
            raise RejectedError("cbor.break", head.start)
        yield head
        read += 1


def item(rest, levels):
    """P-7: any item that contains at most so many levels of maps and arrays."""
    content(rest, rest.head(), levels)


def content(rest, head, levels):
    """Reads the rest of an item after its head."""
    if head.is_break:
        raise RejectedError("cbor.break", head.start)
    if head.major == TAG or (head.major == SIMPLE and head.info > 24):
        raise RejectedError("payload.type", head.start)
    if head.major == BYTES:
        definite(head)
        rest.take(head.argument)
    elif head.major == TEXT:
        definite_text(rest, head)
    elif head.major in (ARRAY, MAP):
        if levels == 0:
            raise RejectedError("payload.nesting", head.start)
        for inner in entries(rest, head):
            content(rest, inner, levels - 1)
            if head.major == MAP:
                item(rest, levels - 1)
    elif head.major == SIMPLE and head.info == 24 and head.argument < 32:
        raise RejectedError("cbor.not_minimal", head.start)


def value(rest, name, limits):
    if name in limits:
        if rest.peek() == b"\xf6":
            rest.take(1)
            return None
        return byte_string(rest, range(limits[name] + 1), f"payload.{name}")
    return {
        "module_id": module_id,
        "digest": digest,
        "timestamp": timestamp,
        "pcrs": enclave_pcrs,
        "nitrotpm_pcrs": pcrs,
        "certificate": lambda rest: byte_string(rest, range(1, 1025), "payload.certificate"),
        "cabundle": cabundle,
    }[name](rest)


def typed(rest, major):
    """P-4, P-10, P-25: the head of a value of one type."""
    return typed_head(rest.head(), major)


def typed_head(head, major):
    if head.is_break:
        raise RejectedError("cbor.break", head.start)
    if head.major == SIMPLE and head.info in (NULL, UNDEFINED):
        raise RejectedError("payload.null", head.start)
    if head.major != major:
        raise RejectedError("payload.type", head.start)
    return head


def definite(head):
    """P-3."""
    if head.argument is None:
        raise RejectedError("cbor.indefinite", head.start)
    return head


def definite_text(rest, head):
    definite(head)
    start = rest.at
    content = rest.take(head.argument)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RejectedError("cbor.utf8", start + error.start) from None


def byte_string(rest, sizes, code, head=None):
    head = definite(typed_head(head or rest.head(), BYTES))
    if head.argument not in sizes:
        raise RejectedError(code, head.start)
    return rest.take(head.argument)


def module_id(rest):
    """P-12."""
    head = definite(typed(rest, TEXT))
    if not 1 <= head.argument <= 256:
        raise RejectedError("payload.module_id", head.start)
    text = definite_text(rest, head)
    if not re.fullmatch("[!-~]+", text):
        raise RejectedError("payload.module_id", head.start)
    return text


def digest(rest):
    """P-13."""
    head = typed(rest, TEXT)
    text = definite_text(rest, head)
    if text != "SHA384":
        raise RejectedError("payload.digest", head.start)
    return text


def timestamp(rest):
    """P-14."""
    head = typed(rest, UNSIGNED)
    if not 1 <= head.argument <= 253402300799999:
        raise RejectedError("payload.timestamp", head.start)
    return head.argument


def pcrs(rest):
    """P-2, P-6, P-15 to P-17."""
    head = typed(rest, MAP)
    if head.argument is not None and not 1 <= head.argument <= 32:
        raise RejectedError("payload.pcrs_count", head.start)
    found = {}
    for key in entries(rest, head):
        if key.major != UNSIGNED or key.argument > 31:
            raise RejectedError("payload.pcr_index", key.start)
        if key.argument in found:
            raise RejectedError("payload.duplicate", key.start)
        found[key.argument] = byte_string(rest, [48], "payload.pcr_length")
    if not found:
        raise RejectedError("payload.pcrs_count", head.start)
    return found


def enclave_pcrs(rest):
    """P-18."""
    start = rest.at
    found = pcrs(rest)
    if not {0, 1, 2} <= set(found):
        raise RejectedError("payload.pcrs_missing", start)
    return found


def cabundle(rest):
    """P-2, P-20, P-21."""
    head = typed(rest, ARRAY)
    if head.argument is not None and not 1 <= head.argument <= 8:
        raise RejectedError("payload.cabundle", head.start)
    found = []
    for entry in entries(rest, head):
        found.append(byte_string(rest, range(1, 1025), "payload.cabundle_entry", entry))
        if len(found) > 8:
            raise RejectedError("payload.cabundle", head.start)
    if not found:
        raise RejectedError("payload.cabundle", head.start)
    return found
