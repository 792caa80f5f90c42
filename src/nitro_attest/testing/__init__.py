"""Fake Nitro attestation documents, for the tests of services that verify genuine ones.

Example:
    >>> from nitro_attest import verify
    >>> from nitro_attest.testing import FakeNitro
    >>> nitro = FakeNitro()
    >>> document = nitro.document(pcrs={0: "ab" * 48}, nonce=b"32 bytes that the verifier chose")
    >>> attestation = verify(document, nitro.root_pem, nonce=b"32 bytes that the verifier chose")
    >>> attestation.module_id == nitro.module_id
    True

``FAULTS`` lists the ways in which a document can break a rule. A verifier rejects nearly all of
them without further arguments, each with the code of the fault:

    >>> from nitro_attest import NitroAttestError
    >>> from nitro_attest.testing import FAULTS
    >>> def code_of(document, **arguments):
    ...     try:
    ...         verify(document, nitro.root_pem, **arguments)
    ...     except NitroAttestError as error:
    ...         return error.code
    >>> plain = [fault for fault in FAULTS.values() if not fault.needs_arguments]
    >>> all(code_of(nitro.document(fault=fault.id)) == fault.code for fault in plain)
    True

The others only show if the verifier expects something, such as a nonce or a maximum age, or at an
exact time. ``Fault.verify_arguments`` returns the arguments of ``verify`` under which any fault
shows:

    >>> from datetime import datetime, timezone
    >>> made = datetime.now(timezone.utc)
    >>> for fault in FAULTS.values():
    ...     document = nitro.document(at=made, fault=fault.id)
    ...     assert code_of(document, **fault.verify_arguments(made)) == fault.code

``VARIANTS`` lists unusual documents that are accepted, with their warnings, in the same way.

Nothing trusts these documents: each FakeNitro makes its own root, with FAKE-NOT-AWS in its name.

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
