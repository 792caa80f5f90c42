"""Every rule, from both sides: what breaks it is refused with its code, what may be is accepted."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from nitro_attest import errors, verify
from nitro_attest.testing import FAULTS, VARIANTS, FakeNitro

AT = datetime(2026, 3, 14, 9, 26, 53, 589_793, timezone.utc)
"""The documents' time; a fraction of a second, so that a verifier that drops it is found out."""

NITRO = FakeNitro(seed=b"conformance")

CLASSES = {
    family: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.NitroAttestError)
    for family in error.families
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_rule_is_refused_with_its_code(name: str) -> None:
    fault = FAULTS[name]
    document = NITRO.document(at=AT, fault=name)

    with pytest.raises(errors.NitroAttestError) as caught:
        verify(document, NITRO.root_pem, **{"at": AT + fault.at_shift, **fault.verify})

    assert caught.value.code == fault.code, caught.value
    assert type(caught.value) is CLASSES[fault.code.partition(".")[0]]


@pytest.mark.parametrize("name", VARIANTS)
def test_an_unusual_document_is_accepted_with_its_warnings(name: str) -> None:
    variant = VARIANTS[name]
    document = NITRO.document(at=AT, variant=name)

    attestation = verify(
        document, NITRO.root_pem, **{"at": AT + variant.at_shift, **variant.verify}
    )

    assert tuple(notice.code for notice in attestation.warnings) == variant.warnings
