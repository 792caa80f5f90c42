"""Internal: makes one document, stage by stage.

Each stage uses the result of the one before, so later stages process a broken part as they would a
correct one: certificates are signed by their issuers, the payload by its leaf. That is why a fault
breaks only the rule that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from nitro_attest.errors import InputError
from nitro_attest.testing.certificates import CertificateForm, Key, KeyRing

Stage = Literal["path", "chain", "fields", "payload", "items", "document"]
Kind = Literal["enclave", "nitrotpm"]

PROTECTED: Final = bytes.fromhex("a1013822")
"""The map {1: -35}: the algorithm is ES384 (C-6)."""

NULL: Final = b"\xf6"
BREAK: Final = b"\xff"
P384_ORDER: Final = ec.SECP384R1().group_order


def head(major: int, argument: int, octets: int | None = None) -> bytes:
    """Encodes the head of a CBOR item (RFC 8949 section 3).

    Args:
        major: Major type, 0 to 7.
        argument: The length, count or value.
        octets: Size of the argument: 0 (inside the first byte), 1, 2, 4 or 8 octets; None: the
            smallest that fits.

    Returns:
        The head.
    """
    if octets is None:
        limits = ((24, 0), (1 << 8, 1), (1 << 16, 2), (1 << 32, 4))
        octets = next((size for limit, size in limits if argument < limit), 8)
    if octets == 0:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | 23 + octets.bit_length()]) + argument.to_bytes(octets, "big")


def bstr(content: bytes) -> bytes:
    """Encodes a byte string."""
    return head(2, len(content)) + content


def tstr(content: str | bytes) -> bytes:
    """Encodes a text string; bytes need not be UTF-8."""
    octets = content.encode() if isinstance(content, str) else content
    return head(3, len(octets)) + octets


def pcr_map(pcrs: Mapping[int, bytes]) -> bytes:
    """Encodes a map of PCRs, in ascending order of their indices."""
    return cbor2.dumps(dict(sorted(pcrs.items())))


def array(items: list[bytes]) -> bytes:
    """Encodes an array of encoded items."""
    return head(4, len(items)) + b"".join(items)


def sig_structure(payload: bytes, protected: bytes = PROTECTED) -> bytes:
    """Encodes the Sig_structure that a COSE_Sign1 signature covers (RFC 9052 section 4.4)."""
    return array([tstr("Signature1"), bstr(protected), bstr(b""), bstr(payload)])


def raw_signature(r: int, s: int) -> bytes:
    """Encodes r and s for ES384: 48 octets each, big-endian (RFC 9053 section 2.1)."""
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def es384(
    key: Key,
    message: bytes,
    *,
    high_s: bool | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """Makes a raw signature, with s above or below half of the order unless ``high_s`` is None."""
    r, s = decode_dss_signature(key.sign(message, digest))
    if high_s is not None and high_s != (s > P384_ORDER // 2):
        s = P384_ORDER - s
    return raw_signature(r, s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The requested content of a document: the arguments of ``FakeNitro.document``."""

    at: datetime
    pcrs: Mapping[int, bytes] = field(default_factory=dict)
    debug: bool = False
    kind: Kind = "enclave"
    nonce: bytes | None = None
    user_data: bytes | None = None
    public_key: bytes | None = None
    absent: Collection[str] = ()
    indefinite: bool = True
    tagged: bool = False
    high_s: bool | None = None


@dataclass(kw_only=True)
class Draft:
    """A document between two stages.

    Attributes:
        options: The requested content.
        ring: The source of further keys.
        region: AWS region in the names of the certificates.
        instance_id: The parent instance.
        module_id: The field of that name.
        timestamp: Milliseconds since 1970.
        pcrs: All PCRs of the document.
        path: Stage "path": the forms of the certificates, root first.
        cabundle: Stage "chain": the encoded certificates above the leaf.
        certificate: Stage "chain": the encoded leaf.
        fields: Stage "fields": encoded keys and values in the order of the NSM.
        payload: Stage "payload": the encoded map.
        protected: Stage "payload": content of the protected header.
        signing_key: Stage "payload": the key that signs.
        items: Stage "items": the four encoded items of the COSE_Sign1.
        document: Stage "document": the complete document.
    """

    options: Options
    ring: KeyRing
    region: str
    instance_id: str
    module_id: str
    timestamp: int
    pcrs: dict[int, bytes]
    path: list[CertificateForm]
    cabundle: list[bytes] = field(default_factory=list)
    certificate: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    payload: bytes = b""
    protected: bytes = PROTECTED
    signing_key: Key = field(init=False)
    items: list[bytes] = field(default_factory=list)
    document: bytes = b""

    def position(self, name: str) -> int:
        """Returns the position of a field among the fields.

        Raises:
            InputError: ``input.expected``: the field is absent, so there is nothing to edit.
        """
        names = [key for key, _ in self.fields]
        if tstr(name) not in names:
            raise contradiction(f"absent={{{name!r}}}")
        return names.index(tstr(name))

    @property
    def pcrs_name(self) -> str:
        """The name of the field with the PCRs, which depends on the kind of document."""
        return "pcrs" if self.options.kind == "enclave" else "nitrotpm_pcrs"

    def sign(self) -> bytes:
        """Signs the current payload."""
        message = sig_structure(self.payload, self.protected)
        return es384(self.signing_key, message, high_s=self.options.high_s)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a draft, made right after a stage."""

    stage: Stage
    apply: Callable[[Draft], None]


def contradiction(argument: str) -> InputError:
    """Makes the error for an argument that a fault or variant overrides."""
    return InputError(
        "input.expected", f"{argument} contradicts the fault or variant; omit the argument"
    )


def change(stage: Stage, **values: Any) -> Edit:
    """Makes an edit that sets attributes of the draft; a callable value gets the draft."""

    def apply(draft: Draft) -> None:
        for name, value in values.items():
            setattr(draft, name, value(draft) if callable(value) else value)

    return Edit(stage, apply)


def _chain(draft: Draft) -> None:
    *authorities, leaf = draft.path
    draft.cabundle = [form.der for form in authorities]
    draft.certificate = leaf.der
    draft.signing_key = leaf.key


def _optional(options: Options) -> dict[str, bytes | None]:
    """Returns the content of the optional fields, in the order of the NSM."""
    return {
        "public_key": options.public_key,
        "user_data": options.user_data,
        "nonce": options.nonce,
    }


def _fields(draft: Draft) -> None:
    values = {
        "module_id": tstr(draft.module_id),
        "digest": tstr("SHA384"),
        "timestamp": head(0, draft.timestamp),
        draft.pcrs_name: pcr_map(draft.pcrs),
        "certificate": bstr(draft.certificate),
        "cabundle": array([bstr(certificate) for certificate in draft.cabundle]),
    } | {
        name: NULL if content is None else bstr(content)
        for name, content in _optional(draft.options).items()
        if name not in draft.options.absent
    }
    draft.fields = [(tstr(name), value) for name, value in values.items()]


def _payload(draft: Draft) -> None:
    pairs = b"".join(key + value for key, value in draft.fields)
    if draft.options.indefinite:
        draft.payload = b"\xbf" + pairs + BREAK
    else:
        draft.payload = head(5, len(draft.fields)) + pairs


def _items(draft: Draft) -> None:
    unprotected = b"\xa0"
    draft.items = [bstr(draft.protected), unprotected, bstr(draft.payload), bstr(draft.sign())]


def _check_given(draft: Draft) -> None:
    """Raises if an edit of the fields overwrote a value that the caller gave."""
    for name, content in _optional(draft.options).items():
        if content is not None and (tstr(name), bstr(content)) not in draft.fields:
            raise contradiction(f"the value of {name}")
    pcrs = b"".join(content for key, content in draft.fields if key == tstr(draft.pcrs_name))
    for index, register in draft.options.pcrs.items():
        if register not in pcrs:
            raise contradiction(f"the value of PCR{index}")


def _document(draft: Draft) -> None:
    tag = b"\xd2" if draft.options.tagged else b""
    draft.document = tag + array(draft.items)


_STAGES: Final[tuple[tuple[Stage, Callable[[Draft], None]], ...]] = (
    ("path", lambda draft: None),
    ("chain", _chain),
    ("fields", _fields),
    ("payload", _payload),
    ("items", _items),
    ("document", _document),
)


def finish(draft: Draft, edit: Edit | None) -> bytes:
    """Runs all stages on a draft.

    Args:
        draft: A draft with options and path.
        edit: The change to make; None for a correct document.

    Returns:
        The document.

    Raises:
        InputError: ``input.expected``: the edit overwrites a field that the options give.
    """
    for stage, build in _STAGES:
        build(draft)
        if edit is not None and edit.stage == stage:
            edit.apply(draft)
            if stage == "fields":
                _check_given(draft)
    return draft.document
