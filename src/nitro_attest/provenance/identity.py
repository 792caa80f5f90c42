"""Statements in a Sigstore bundle, signed under an identity that the caller names (V-7).

The package sigstore verifies the bundle: certificate, signature and log entry. No cryptography of
Sigstore is implemented here.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import reprlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat import asn1

from nitro_attest._internal.values import rebuilt
from nitro_attest.errors import InputError
from nitro_attest.provenance.key import check_payload_type
from nitro_attest.provenance.signer import Signer

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot
    from sigstore.verify.policy import VerificationPolicy

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

_PUBLIC_GOOD: Final = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
"""The folder of the public instance among the trusted roots in the package sigstore."""

_EXTENSIONS: Final = {
    "workflow": "1.3.6.1.4.1.57264.1.9",
    "repository": "1.3.6.1.4.1.57264.1.12",
    "commit": "1.3.6.1.4.1.57264.1.13",
    "ref": "1.3.6.1.4.1.57264.1.14",
}
"""The extensions of a certificate that name the build (Fulcio, ``oid-info.md``)."""


@rebuilt
@dataclass(frozen=True, slots=True)
class SigstoreIdentity:
    """The identity of the only signer to trust. There is no way to accept any identity.

    Attributes:
        identity: The exact identity, such as
            ``https://github.com/OWNER/NAME/.github/workflows/build.yml@refs/heads/main``.
        issuer: The exact issuer that confirms it, such as
            ``https://token.actions.githubusercontent.com``.
        repository: The exact URI of the repository that was built, such as
            ``https://github.com/OWNER/NAME``; None for any. Required where the identity is a
            workflow that other repositories may call.
        ref: The exact branch or tag that was built, such as ``refs/heads/main``; None for any.
        sigstore_root: Path of the trusted root of another Sigstore instance, a
            ``trusted_root.json``. None: that of the public instance, from the package sigstore.

    Raises:
        InputError: ``provenance.signer``: identity or issuer is not text or is empty, or another
            attribute is neither None nor such text.
    """

    identity: str
    issuer: str
    repository: str | None = None
    ref: str | None = None
    sigstore_root: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name in ("identity", "issuer", "repository", "ref"):
            value = getattr(self, name)
            optional = name in ("repository", "ref")
            if not (optional and value is None) and (not isinstance(value, str) or not value):
                raise InputError(
                    "provenance.signer",
                    f"{name} of the signer: expected its exact text, found {reprlib.repr(value)}",
                )
        if not isinstance(self.sigstore_root, (str, os.PathLike, type(None))):
            raise InputError(
                "provenance.signer",
                f"sigstore_root: expected a path, found {reprlib.repr(self.sigstore_root)}",
            )


def verify_bundle(signer: SigstoreIdentity, bundle: dict[str, Any]) -> tuple[bytes, Signer]:
    """Verifies a bundle, offline (V-7).

    Args:
        signer: The identity that must have signed it.
        bundle: The JSON object.

    Returns:
        The payload, and its signer.

    Raises:
        InputError: ``provenance.format``: not a bundle of version 0.3.
            ``provenance.signature``: the bundle is not signed by this identity.
            ``provenance.payload_type``: V-2. ``provenance.signer``: the trusted root cannot be
            read. ``input.extra``: the package sigstore is not installed.
    """
    try:
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
    except ImportError:
        raise InputError(
            "input.extra",
            "the package sigstore is not installed; run: pip install 'sigstore>=4.5.1'",
        ) from None
    if bundle.get("mediaType") != MEDIA_TYPE:
        raise InputError(
            "provenance.format",
            f"mediaType of the bundle: expected {MEDIA_TYPE}, found "
            f"{reprlib.repr(bundle.get('mediaType'))}",
        )
    root = _root(signer)
    try:
        parsed = Bundle.from_json(json.dumps(bundle))
        payload_type, payload = Verifier(trusted_root=root).verify_dsse(parsed, _policy(signer))
        found = _signer(signer, parsed.signing_certificate)
    except Exception as error:  # whatever the library raises rejects the bundle
        raise InputError(
            "provenance.signature",
            f"expected a bundle signed by {signer.identity} of {signer.issuer}, found one that "
            f"Sigstore rejects: {error}",
        ) from error
    check_payload_type(payload_type)
    return payload, found


def _policy(signer: SigstoreIdentity) -> VerificationPolicy:
    from sigstore.verify import policy

    required: list[VerificationPolicy] = [
        policy.Identity(identity=signer.identity, issuer=signer.issuer)
    ]
    if signer.repository is not None:
        required.append(policy.OIDCSourceRepositoryURI(signer.repository))
    if signer.ref is not None:
        required.append(policy.OIDCSourceRepositoryRef(signer.ref))
    return policy.AllOf(required)


def _root(signer: SigstoreIdentity) -> TrustedRoot:
    """Returns the trusted root. The library's own loader would use the network or a cache."""
    from sigstore.models import TrustedRoot

    with ExitStack() as stack:
        try:
            if signer.sigstore_root is None:
                embedded = importlib.resources.files("sigstore") / "_store" / _PUBLIC_GOOD
                file = embedded / "trusted_root.json"
                path = stack.enter_context(importlib.resources.as_file(file))
            else:
                path = Path(signer.sigstore_root)
            return TrustedRoot.from_file(str(path))
        except Exception as error:  # whatever the library raises, as above
            raise InputError(
                "provenance.signer",
                f"the trusted root of Sigstore cannot be read: {error}; pass the path of a "
                "trusted_root.json as sigstore_root=",
            ) from error


def _signer(signer: SigstoreIdentity, certificate: x509.Certificate) -> Signer:
    build = {name: _extension(certificate, oid) for name, oid in _EXTENSIONS.items()}
    return Signer(identity=signer.identity, issuer=signer.issuer, **build)


def _extension(certificate: x509.Certificate, oid: str) -> str | None:
    """Returns the text of an extension, an ASN.1 UTF8String; None if there is none."""
    try:
        found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oid))
    except x509.ExtensionNotFound:
        return None
    if not isinstance(found.value, x509.UnrecognizedExtension):
        return None
    return asn1.decode_der(str, found.value.value)
