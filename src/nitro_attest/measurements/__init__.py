"""Expected PCR values, computed from inputs or measured from an image file.

Names are loaded when they are first used, so that computing a PCR does not load cryptography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names

if TYPE_CHECKING:
    from nitro_attest.measurements.eif.image import EnclaveImage as EnclaveImage
    from nitro_attest.measurements.eif.image import measure as measure
    from nitro_attest.measurements.eif.layout import Section as Section
    from nitro_attest.measurements.eif.layout import SectionKind as SectionKind
    from nitro_attest.measurements.eif.signature import SignatureInfo as SignatureInfo
    from nitro_attest.measurements.pcr import extend as extend
    from nitro_attest.measurements.pcr import image_measurement as image_measurement
    from nitro_attest.measurements.pcr import pcr3_from_role_arn as pcr3_from_role_arn
    from nitro_attest.measurements.pcr import pcr4_from_instance_id as pcr4_from_instance_id
    from nitro_attest.measurements.pcr import pcr8_from_certificate as pcr8_from_certificate
    from nitro_attest.measurements.pcr import replay as replay
    from nitro_attest.measurements.uki.boot_events import (
        SECURE_BOOT_OFF_PCR7 as SECURE_BOOT_OFF_PCR7,
    )
    from nitro_attest.measurements.uki.boot_events import SEPARATOR_PCR as SEPARATOR_PCR
    from nitro_attest.measurements.uki.boot_events import SecureBootVariables as SecureBootVariables
    from nitro_attest.measurements.uki.image import UkiMeasurements as UkiMeasurements
    from nitro_attest.measurements.uki.image import uki_measurements as uki_measurements

_NAMES = {
    "eif.image": ("EnclaveImage", "measure"),
    "eif.layout": ("Section", "SectionKind"),
    "eif.signature": ("SignatureInfo",),
    "pcr": (
        "extend",
        "image_measurement",
        "pcr3_from_role_arn",
        "pcr4_from_instance_id",
        "pcr8_from_certificate",
        "replay",
    ),
    "uki.boot_events": ("SECURE_BOOT_OFF_PCR7", "SEPARATOR_PCR", "SecureBootVariables"),
    "uki.image": ("UkiMeasurements", "uki_measurements"),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # type checkers that saw __getattr__ would accept every name
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
