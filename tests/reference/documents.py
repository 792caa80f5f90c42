"""Documents put together from encoded parts, right ones and wrong ones.

No signature is valid and no certificate is one: the C core judges the form of bytes only.
"""

WIDTHS = {0: 24, 1: 1 << 8, 2: 1 << 16, 4: 1 << 32, 8: 1 << 64}
"""How many bytes after the first one a CBOR head needs for arguments below this."""


def head(major, argument, width=None):
    """A CBOR head; width forces 1, 2, 4 or 8 further bytes where fewer would do."""
    if width is None:
        width = next(w for w, end in WIDTHS.items() if argument < end)
    if width == 0:
        return bytes([major << 5 | argument])
    info = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes([major << 5 | info]) + argument.to_bytes(width, "big")


def string(major, content):
    return head(major, len(content)) + content


def text(value):
    return string(3, value.encode("utf-8", "surrogatepass"))


def byte_string(size):
    return string(2, b"A" * size)


def pairs(values, definite=True):
    content = b"".join(head(0, key) + value for key, value in values.items())
    return head(5, len(values)) + content if definite else b"\xbf" + content + b"\xff"


def array(items, definite=True):
    return (
        head(4, len(items)) + b"".join(items) if definite else b"\x9f" + b"".join(items) + b"\xff"
    )


def entries(sizes, definite=True):
    return array([byte_string(size) for size in sizes], definite)


PCRS = {index: byte_string(48) for index in range(16)}

ORDER = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
OPTIONAL = ("public_key", "user_data", "nonce")

VALID = {
    "module_id": [text("i-0123456789abcdef0-enc0123456789abcdef"), text("!"), text("~" * 256)],
    "digest": [text("SHA384")],
    "timestamp": [head(0, value) for value in (1, 1758057949422, 253402300799999)],
    "pcrs": [
        pairs(PCRS),
        pairs({index: byte_string(48) for index in (2, 1, 0, 31, 23, 24)}),
        pairs({index: byte_string(48) for index in range(32)}),
        pairs(PCRS, definite=False),
        pairs({index: byte_string(48) for index in range(32)}, definite=False),
    ],
    "nitrotpm_pcrs": [
        pairs({8: byte_string(48)}),
        pairs(PCRS),
        pairs({8: byte_string(48)}, definite=False),
    ],
    "certificate": [byte_string(size) for size in (1, 640, 1024)],
    "cabundle": [
        entries(sizes, definite)
        for definite in (True, False)
        for sizes in ([533, 700, 806, 644], [1], [1] * 7 + [1024])
    ],
    "public_key": [b"\xf6", byte_string(0), byte_string(294), byte_string(1024)],
    "user_data": [b"\xf6", byte_string(0), byte_string(746), byte_string(1024)],
    "nonce": [b"\xf6", byte_string(0), byte_string(20), byte_string(1024)],
}

NO_VALUE_OF_OURS = [
    *(b"\xf7", b"\xff", b"\xf5", b"\xf8\x16", b"\xf8\x20", b"\xf9\x7e\x00"),
    *(b"\x00", b"\x20", b"\x60", b"\x80", b"\xa0", b"\x1f", b"\x3f", b"\xdf", b"\x5c", b"\xfc"),
    *(b"\x9f\xff", b"\xbf\xff", b"\x5f\xff", b"\x7f\xff", b"\xc2\x41\x01", b"\xd8\x18\x41\x01"),
    *(head(2, 3, 1) + b"AAA", head(2, 300, 4) + b"A" * 300, head(3, 1, 8) + b"A"),
    *(head(major, (1 << bits) - 1) for major in (2, 3, 4, 5) for bits in (31, 32, 63, 64)),
    *(head(0, (1 << bits) - 1) for bits in (63, 64)),
]

WRONG = {
    "module_id": [
        text(""),
        text("~" * 257),
        text("i 1"),
        text("i\x7f"),
        text("\u00e9"),
        b"\x61\xff",
    ],
    "digest": [text("SHA256"), text("sha384"), text("SHA384\0"), text("\ud800"), b"\x62\xc0\xaf"],
    "timestamp": [head(0, 0), head(0, 253402300800000), head(0, 1758057949, 8), head(1, 5)],
    "pcrs": [
        pairs({}),
        pairs({1: byte_string(48), 2: byte_string(48)}),
        pairs({0: byte_string(48), 32: byte_string(48)}),
        pairs({0: byte_string(48), 1: byte_string(47)}),
        pairs({0: byte_string(32)}),
        pairs({index: byte_string(48) for index in range(33)}),
        head(5, 2) + 2 * (head(0, 7) + byte_string(48)),
        head(5, 2) + head(0, 7) + byte_string(48) + b"\xff",
        head(5, 1) + head(0, 7, 1) + byte_string(48),
        head(5, 1) + head(1, 7) + byte_string(48),
        head(5, 1) + text("7") + byte_string(48),
        pairs({}, definite=False),
        pairs({1: byte_string(48), 2: byte_string(48)}, definite=False),
        pairs({**PCRS, 32: byte_string(48)}, definite=False),
        pairs({**PCRS, 16: b""}, definite=False),
        pairs(PCRS, definite=False)[:-1] + head(0, 3) + byte_string(48) + b"\xff",
        pairs(PCRS, definite=False)[:-1],
        pairs(PCRS, definite=False) + b"\xff",
    ],
    "certificate": [byte_string(0), byte_string(1025)],
    "cabundle": [
        *(entries(sizes) for sizes in ([], [1] * 9, [1, 0], [1, 1025])),
        head(4, 2) + byte_string(1) + b"\xff",
        *(entries(sizes, definite=False) for sizes in ([], [1] * 9, [1, 0], [1, 1025])),
        entries([1], definite=False)[:-1],
        b"\x9f\x9f\xff\xff",
    ],
    "public_key": [byte_string(1025), byte_string(4097)],
    "user_data": [byte_string(1025), byte_string(4097)],
    "nonce": [byte_string(1025), byte_string(4097)],
}
WRONG["nitrotpm_pcrs"] = WRONG["pcrs"]
WRONG = {
    name: values + NO_VALUE_OF_OURS + ([] if name in OPTIONAL else [b"\xf6"])
    for name, values in WRONG.items()
}

WRONG_KEYS = [
    *(
        text("Nonce"),
        text(""),
        text("pcr"),
        b"\x45nonce",
        b"\x05",
        b"\xf6",
        b"\xff",
        b"\x65nonc\xff",
    ),
    *(head(3, 5, 1) + b"nonce", b"\x7f\x65nonce\xff", b"\x7c", text("nonce\0"), text("\u00fc")),
]

SKIPPED = [
    *(b"\x00", b"\x18\x18", b"\x20", head(1, (1 << 64) - 1), b"\xe0", b"\xf4", b"\xf6"),
    *(b"\xf7", b"\xf8\x20", b"\xf8\xff", byte_string(0), byte_string(300), text("")),
    *(text("\u00fc\u20ac"), b"\x80", b"\xa0", b"\x9f\xff", b"\xbf\xff", b"\x82\x00\x80"),
    *(b"\xa1\x00\x80", b"\x9f\x00\xbf\x20\xf5\xff\xff", b"\xbf\x61a\x9f\xff\x61b\xa0\xff"),
    *(b"\x81" * 4 + b"\x00", b"\x9f" * 4 + b"\xff" * 4, b"\xa1\x00" * 4 + b"\x00"),
    b"\x84\x80\xa0\x81\x80\x9f\x9f\xff\xff",
]
"""Values of unknown fields that are skipped on request (P-7)."""

NOT_SKIPPED = [
    *(b"\x81" * 5 + b"\x00", b"\x81" * 4 + b"\x80", b"\x9f" * 5 + b"\xff" * 5, b"\xff"),
    *(b"\x82\x00\xff", b"\xa1\x00\xff", b"\xbf\x00\xff", b"\x9f\x81\xff", b"\xf8\x1f"),
    *(b"\xf8\x00", b"\xf9\x7e\x00", b"\xfa" + bytes(4), b"\xfb" + bytes(8), b"\xc0\x00"),
    *(b"\x81\xc2\x40", b"\xa1\xf9\x00\x00\x00", b"\x5f\x40\xff", b"\x7f\x60\xff"),
    *(b"\x81\x5f\xff", b"\x18\x17", b"\x38\x00", b"\x98\x01\x00", b"\xb8\x01\x00\x00"),
    *(b"\x1c", b"\x3f", b"\xdf", b"\xfe", b"\x61\xff", b"\xa1\x62\xc0\xaf\x00"),
    *(head(major, (1 << bits) - 1) for major in (2, 3, 4, 5) for bits in (32, 63, 64)),
]
"""Values of unknown fields that are rejected even so."""


def payload_of(items, definite=True, count=None):
    """A payload map of encoded (key, value) pairs; count overrides what its head says."""
    start = head(5, len(items) if count is None else count) if definite else b"\xbf"
    return start + b"".join(key + value for key, value in items) + (b"" if definite else b"\xff")


ENVELOPE = {
    "tag": (b"", b"\xd2"),
    "array": (b"\x84",),
    "protected": (bytes.fromhex("44a1013822"),),
    "unprotected": (b"\xa0",),
    "payload": (byte_string(300),),
    "signature": (b"\x58\x60" + b"S" * 96,),
    "rest": (b"",),
}

WRONG_ENVELOPE = {
    "tag": [bytes.fromhex(tag) for tag in ("d812", "d90012", "d2d2", "d1", "d2d1", "dc", "d9d9f7")],
    "array": [b"\x83", b"\x85", b"\x98\x04", b"\x9f", b"\xa4", b"h"],
    "protected": [
        *(bytes.fromhex(hexed) for hexed in ("43a10126", "44a1013823", "a1013822", "5804a1013822")),
        *(bytes.fromhex(hexed) for hexed in ("43a10120", "40", "5f44a1013822ff", "64a1013822")),
    ],
    "unprotected": [b"\xa1\x04\x41\x01", b"\xb8\x00", b"\xbf\xff", b"\xf6", b"\x40"],
    "payload": [*NO_VALUE_OF_OURS, b"\xf6", byte_string(0), head(2, 16277), b"\x5f\x41\x01\xff"],
    "signature": [byte_string(95), byte_string(97), byte_string(0), head(2, 96, 2) + b"S" * 96,
                  text("S" * 96), b"\x5f\x58\x60" + b"S" * 96 + b"\xff", *NO_VALUE_OF_OURS],
    "rest": [b"\x00", b"\xff", b"\xd2\x84"],
}  # fmt: skip


def document_of(payload=None, /, **parts):
    """A document around a payload; parts replace the encoded elements of the same name."""
    whole = {name: values[0] for name, values in ENVELOPE.items()} | parts
    if payload is not None:
        whole["payload"] = string(2, payload)
    return b"".join(whole[name] for name in ENVELOPE)


def items_of(**changed):
    values = {name: VALID[name][0] for name in (*ORDER, *OPTIONAL)} | changed
    return [(text(name), value) for name, value in values.items()]
