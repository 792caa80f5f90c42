"""Errors and warnings of the library, as tests compare them."""

import pytest

from nitro_attest import NitroAttestError


def rejection(call, *args, **options):
    """The error that the call raises; fails the test if it raises none."""
    with pytest.raises(NitroAttestError) as caught:
        call(*args, **options)
    return caught.value


def code_of(call, *args, **options):
    """The code of the error that the call raises; fails the test if it raises none."""
    return rejection(call, *args, **options).code


def code_or_none(call, *args, **options):
    """The code of the error that the call raises; None if it returns."""
    try:
        call(*args, **options)
    except NitroAttestError as error:
        return error.code
    return None


def outcome_codes(outcomes):
    """The code of each outcome's error; None for an attestation."""
    return [outcome.error and outcome.error.code for outcome in outcomes]


def warning_codes(result):
    """The codes of an attestation's warnings, in order."""
    return [warning.code for warning in result.warnings]
