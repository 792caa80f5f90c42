"""One measurement set by itself (L-1, M-3, M-8, M-9, T-4, T-5)."""

from dataclasses import FrozenInstanceError

import pytest

from nitro_attest import MeasurementSet, NitroTpmMeasurementSet

ONE = b"\x01" * 48


@pytest.mark.parametrize("kind", [MeasurementSet, NitroTpmMeasurementSet])
def test_a_measurement_set_cannot_be_changed(kind):
    expected = kind({4: ONE}, "v1")
    with pytest.raises(FrozenInstanceError):
        expected.name = "v2"
    with pytest.raises(TypeError):
        expected.pcrs[4] = bytes(48)
