"""Fake Nitro attestation documents, for the tests of services that verify genuine ones.

Example:
    >>> from nitro_attest import verify
    >>> from nitro_attest.testing import FakeNitro
    >>> nitro = FakeNitro()
    >>> document = nitro.document(pcrs={0: "ab" * 48}, nonce=b"32 bytes that the verifier chose")
    >>> attestation = verify(document, nitro.root_pem, nonce=b"32 bytes that the verifier chose")
    >>> attestation.module_id == nitro.module_id
    True

``FAULTS`` lists the ways in which a document can break a rule. Some of them only show under certain
arguments of ``verify`` or at a certain time: ``Fault.verify_arguments`` returns both. Every fault
is rejected with its own code:

    >>> from datetime import datetime, timezone
    >>> from nitro_attest import NitroAttestError
    >>> from nitro_attest.testing import FAULTS
    >>> def code_of(fault, made):
    ...     document = nitro.document(at=made, fault=fault.id)
    ...     try:
    ...         verify(document, nitro.root_pem, **fault.verify_arguments(made))
    ...     except NitroAttestError as error:
    ...         return error.code
    >>> made = datetime.now(timezone.utc)
    >>> all(code_of(fault, made) == fault.code for fault in FAULTS.values())
    True

``VARIANTS`` lists unusual documents that are accepted, with their warnings, in the same way.

Nothing trusts these documents: each FakeNitro makes its own root, named FAKE-NOT-AWS.

FakeKms is a fake AWS KMS for enclaves. It verifies documents with nitro_attest, which nothing else
here does, so names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names

if TYPE_CHECKING:
    from nitro_attest.testing.cases import Fault as Fault
    from nitro_attest.testing.cases import Variant as Variant
    from nitro_attest.testing.faults import FAULTS as FAULTS
    from nitro_attest.testing.faults.revocation import LIST_FAULTS as LIST_FAULTS
    from nitro_attest.testing.kms import FakeKms as FakeKms
    from nitro_attest.testing.nitro import FakeNitro as FakeNitro
    from nitro_attest.testing.variants import VARIANTS as VARIANTS

_NAMES = {
    "cases": ("Fault", "Variant"),
    "faults": ("FAULTS",),
    "faults.revocation": ("LIST_FAULTS",),
    "kms": ("FakeKms",),
    "nitro": ("FakeNitro",),
    "variants": ("VARIANTS",),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # type checkers that saw __getattr__ would accept every name
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
