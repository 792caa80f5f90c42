"""Internal: parses a CiphertextForRecipient, CMS EnvelopedData for one recipient (K-5, K-6).

ContentInfo                       RFC 5652 section 3
  EnvelopedData, version 2        RFC 5652 section 6.1
    KeyTransRecipientInfo, version 2, by subject key identifier
      RSAES-OAEP with SHA-256 and MGF1 with SHA-256       RFC 8017 appendix A.2.1
      encrypted key
    EncryptedContentInfo
      AES-256-CBC, IV             RFC 3565 section 4.1
      encrypted content
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nitro_attest._internal.wording import plural, size_or_type
from nitro_attest.kms.ber import Element, malformed, parse_ber
from nitro_attest.limits import MAX_RECIPIENT_CIPHERTEXT_BYTES

IV_BYTES: Final = 16
"""Size of the IV, and of an AES block (RFC 3565 section 4.1)."""

_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_NULL: Final = 0x05
_OBJECT_IDENTIFIER: Final = 0x06
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_CONTEXT_0: Final = 0x80  # [0] IMPLICIT, primitive
_IN_CONTEXT_0: Final = 0xA0  # [0], constructed
_IN_CONTEXT_1: Final = 0xA1

_VERSION_2: Final = b"\x02"
_ENVELOPED_DATA: Final = bytes.fromhex("2a864886f70d010703")  # 1.2.840.113549.1.7.3
_DATA: Final = bytes.fromhex("2a864886f70d010701")  # 1.2.840.113549.1.7.1
_RSAES_OAEP: Final = bytes.fromhex("2a864886f70d010107")  # 1.2.840.113549.1.1.7
_MGF1: Final = bytes.fromhex("2a864886f70d010108")  # 1.2.840.113549.1.1.8
_SHA256: Final = bytes.fromhex("608648016503040201")  # 2.16.840.1.101.3.4.2.1
_AES256_CBC: Final = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42


@dataclass(frozen=True, slots=True)
class EnvelopedData:
    """The variable parts of a CiphertextForRecipient; none of them is authenticated.

    Attributes:
        key_id: Subject key identifier of the recipient.
        encrypted_key: The content key, encrypted to the recipient's RSA key.
        iv: The IV of AES-256-CBC, 16 bytes.
        ciphertext: The content, encrypted with the content key.
    """

    key_id: bytes
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes


def parse_enveloped_data(blob: bytes) -> EnvelopedData:
    """Parses a CiphertextForRecipient.

    Args:
        blob: BER, 1 to MAX_RECIPIENT_CIPHERTEXT_BYTES octets (K-9).

    Returns:
        Its variable parts.

    Raises:
        KmsError: ``kms.format``: it does not have the form above.
    """
    if not 0 < len(blob) <= MAX_RECIPIENT_CIPHERTEXT_BYTES:
        raise malformed(
            f"expected 1 to {MAX_RECIPIENT_CIPHERTEXT_BYTES} bytes, found {size_or_type(blob)}", 0
        )
    content_type, wrapped = _children(parse_ber(blob), _SEQUENCE, 2, "ContentInfo")
    _expect(content_type, _OBJECT_IDENTIFIER, _ENVELOPED_DATA, "content type")
    (enveloped,) = _children(wrapped, _IN_CONTEXT_0, 1, "content")
    version, recipients, encrypted = _children(enveloped, _SEQUENCE, 3, "EnvelopedData")
    _expect(version, _INTEGER, _VERSION_2, "version of EnvelopedData")

    (recipient,) = _children(recipients, _SET, 1, "set of recipients")
    version, key_id, algorithm, key = _children(recipient, _SEQUENCE, 4, "KeyTransRecipientInfo")
    _expect(version, _INTEGER, _VERSION_2, "version of KeyTransRecipientInfo")
    _check_oaep(algorithm)

    content_type, cipher, content = _children(encrypted, _SEQUENCE, 3, "EncryptedContentInfo")
    _expect(content_type, _OBJECT_IDENTIFIER, _DATA, "encrypted content type")
    name, iv = _children(cipher, _SEQUENCE, 2, "content encryption algorithm")
    _expect(name, _OBJECT_IDENTIFIER, _AES256_CBC, "content encryption algorithm")
    if len(_primitive(iv, _OCTET_STRING, "IV")) != IV_BYTES:
        raise malformed(
            f"IV size mismatch: expected {IV_BYTES} bytes, found {size_or_type(iv.content)}",
            iv.offset,
        )
    return EnvelopedData(
        _primitive(key_id, _CONTEXT_0, "subject key identifier"),
        _primitive(key, _OCTET_STRING, "encrypted key"),
        iv.content,
        _encrypted_content(content),
    )


def _check_oaep(algorithm: Element) -> None:
    """Checks that RSAES-OAEP-params name SHA-256 as both hashes, and no label."""
    name, parameters = _children(algorithm, _SEQUENCE, 2, "key encryption algorithm")
    _expect(name, _OBJECT_IDENTIFIER, _RSAES_OAEP, "key encryption algorithm")
    digest, mask = _children(parameters, _SEQUENCE, 2, "parameters of RSAES-OAEP")
    (digest,) = _children(digest, _IN_CONTEXT_0, 1, "hash of RSAES-OAEP")
    _check_sha256(digest, "hash of RSAES-OAEP")
    (mask,) = _children(mask, _IN_CONTEXT_1, 1, "mask generation of RSAES-OAEP")
    name, digest = _children(mask, _SEQUENCE, 2, "mask generation of RSAES-OAEP")
    _expect(name, _OBJECT_IDENTIFIER, _MGF1, "mask generation of RSAES-OAEP")
    _check_sha256(digest, "hash of MGF1")


def _check_sha256(algorithm: Element, what: str) -> None:
    """Checks for SHA-256, with parameters that are NULL or absent (RFC 4055 section 2.1)."""
    count = 2 if len(algorithm.children) == 2 else 1
    name, *parameters = _children(algorithm, _SEQUENCE, count, what)
    _expect(name, _OBJECT_IDENTIFIER, _SHA256, what)
    for null in parameters:
        _expect(null, _NULL, b"", f"parameters of the {what}")


def _encrypted_content(content: Element) -> bytes:
    """Returns the ciphertext, which is one string or the parts of one (K-6)."""
    if content.tag == _CONTEXT_0:
        return content.content
    if content.tag != _IN_CONTEXT_0 or not content.children:
        raise malformed("no encrypted content", content.offset)
    return b"".join(
        _primitive(part, _OCTET_STRING, "part of the encrypted content")
        for part in content.children
    )


def _children(element: Element, tag: int, count: int, what: str) -> tuple[Element, ...]:
    if element.tag != tag or len(element.children) != count:
        raise malformed(
            f"unexpected {what}: expected tag {tag:02x} with {plural(count, 'element')}, "
            f"found tag {element.tag:02x} with {plural(len(element.children), 'element')}",
            element.offset,
        )
    return element.children


def _primitive(element: Element, tag: int, what: str) -> bytes:
    if element.tag != tag:
        raise malformed(
            f"unexpected {what}: expected tag {tag:02x}, found tag {element.tag:02x}",
            element.offset,
        )
    return element.content


def _expect(element: Element, tag: int, content: bytes, what: str) -> None:
    if _primitive(element, tag, what) != content:
        raise malformed(
            f"unexpected {what}: expected {content.hex() or 'nothing'}, "
            f"found {element.content[:16].hex() or 'nothing'}",
            element.offset,
        )
