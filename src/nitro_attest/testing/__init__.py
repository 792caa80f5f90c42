"""Fake Nitro attestation documents, for the tests of services that verify genuine ones.

    from nitro_attest.testing import FAULTS, FakeNitro

    nitro = FakeNitro()
    document = nitro.document(pcrs={0: expected}, nonce=nonce)
    assert service.accepts(document, trusted_root=nitro.root_pem)

    for fault in FAULTS:
        assert not service.accepts(nitro.document(fault=fault), trusted_root=nitro.root_pem)

Some faults only show under the arguments or the time that the table gives: see ``Fault.verify``
and ``Fault.at_shift``. Nothing here is trusted by anything: the root is made on the spot and is
called FAKE-NOT-AWS.

FakeKms is a KMS for enclaves. It is loaded at its first use, because it verifies with the package
itself, on which the rest of this room does not rest.
"""

from typing import TYPE_CHECKING, Any

from nitro_attest.testing.cases import Fault, Variant
from nitro_attest.testing.faults import FAULTS
from nitro_attest.testing.nitro import FakeNitro
from nitro_attest.testing.variants import VARIANTS

if TYPE_CHECKING:
    from nitro_attest.testing.kms import FakeKms

__all__ = ["FAULTS", "VARIANTS", "FakeKms", "FakeNitro", "Fault", "Variant"]


def __getattr__(name: str) -> Any:
    if name != "FakeKms":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nitro_attest.testing.kms import FakeKms

    return FakeKms
