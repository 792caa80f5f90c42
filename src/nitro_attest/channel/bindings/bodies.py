"""Internal: the encodings in which servers send a document."""

from __future__ import annotations

import base64

from nitro_attest.errors import FormatError


def from_base64(text: bytes | str) -> bytes:
    """Decodes a document from base64 (RFC 4648 section 4), with any whitespace around it.

    Args:
        text: The base64 text.

    Raises:
        FormatError: ``document.encoding``: it is not base64.
    """
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise FormatError("document.encoding", f"malformed base64: {error}") from None
