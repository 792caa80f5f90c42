"""What a PCR should be: computed from inputs, or measured from an enclave image file.

The names are loaded when first used (PEP 562), so that computing a PCR loads no cryptography.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nitro_attest.measurements.eif import EnclaveImage as EnclaveImage
    from nitro_attest.measurements.eif import measure as measure
    from nitro_attest.measurements.eif_layout import ImageWarning as ImageWarning
    from nitro_attest.measurements.eif_layout import Section as Section
    from nitro_attest.measurements.eif_layout import SectionKind as SectionKind
    from nitro_attest.measurements.eif_signature import SignatureInfo as SignatureInfo
    from nitro_attest.measurements.pcr import extend as extend
    from nitro_attest.measurements.pcr import image_measurement as image_measurement
    from nitro_attest.measurements.pcr import pcr3_from_role_arn as pcr3_from_role_arn
    from nitro_attest.measurements.pcr import pcr4_from_instance_id as pcr4_from_instance_id
    from nitro_attest.measurements.pcr import pcr8_from_certificate as pcr8_from_certificate
    from nitro_attest.measurements.pcr import replay as replay

_HOMES: Final = {
    "EnclaveImage": "eif",
    "ImageWarning": "eif_layout",
    "Section": "eif_layout",
    "SectionKind": "eif_layout",
    "measure": "eif",
    "SignatureInfo": "eif_signature",
    "extend": "pcr",
    "image_measurement": "pcr",
    "pcr3_from_role_arn": "pcr",
    "pcr4_from_instance_id": "pcr",
    "pcr8_from_certificate": "pcr",
    "replay": "pcr",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
