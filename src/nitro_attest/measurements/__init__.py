"""What a PCR should be: computed, measured from an image file, or read from a policy file.

Names are loaded at their first use, so that computing a PCR loads no cryptography.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nitro_attest.measurements.boot_events import (
        SECURE_BOOT_OFF_PCR7,
        SEPARATOR_PCR,
        SecureBootVariables,
    )
    from nitro_attest.measurements.eif import EnclaveImage, measure
    from nitro_attest.measurements.eif_layout import Section, SectionKind
    from nitro_attest.measurements.eif_signature import SignatureInfo
    from nitro_attest.measurements.files import (
        LoadedPolicy,
        load_nitrotpm_policy,
        load_policy,
        parse_nitrotpm_policy,
        parse_policy,
        policy_of_document,
    )
    from nitro_attest.measurements.pcr import (
        extend,
        image_measurement,
        pcr3_from_role_arn,
        pcr4_from_instance_id,
        pcr8_from_certificate,
        replay,
    )
    from nitro_attest.measurements.uki import UkiMeasurements, uki_measurements

_HOMES = {
    "SECURE_BOOT_OFF_PCR7": "boot_events",
    "SEPARATOR_PCR": "boot_events",
    "SecureBootVariables": "boot_events",
    "EnclaveImage": "eif",
    "measure": "eif",
    "Section": "eif_layout",
    "SectionKind": "eif_layout",
    "SignatureInfo": "eif_signature",
    "LoadedPolicy": "files",
    "load_nitrotpm_policy": "files",
    "load_policy": "files",
    "parse_nitrotpm_policy": "files",
    "parse_policy": "files",
    "policy_of_document": "files",
    "extend": "pcr",
    "image_measurement": "pcr",
    "pcr3_from_role_arn": "pcr",
    "pcr4_from_instance_id": "pcr",
    "pcr8_from_certificate": "pcr",
    "replay": "pcr",
    "UkiMeasurements": "uki",
    "uki_measurements": "uki",
}

__all__ = [
    "SECURE_BOOT_OFF_PCR7",
    "SEPARATOR_PCR",
    "EnclaveImage",
    "LoadedPolicy",
    "Section",
    "SectionKind",
    "SecureBootVariables",
    "SignatureInfo",
    "UkiMeasurements",
    "extend",
    "image_measurement",
    "load_nitrotpm_policy",
    "load_policy",
    "measure",
    "parse_nitrotpm_policy",
    "parse_policy",
    "pcr3_from_role_arn",
    "pcr4_from_instance_id",
    "pcr8_from_certificate",
    "policy_of_document",
    "replay",
    "uki_measurements",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
