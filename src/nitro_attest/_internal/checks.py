"""Checks of mappings that decide what is trusted."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable

from nitro_attest.errors import InputError


def check_keys(found: Iterable[str], known: Collection[str], where: str) -> None:
    """Rejects every unknown key: a misspelt one must not weaken a policy.

    Args:
        found: The keys of the mapping.
        known: The keys that are allowed.
        where: A noun phrase for the mapping, used in the message.

    Raises:
        InputError: ``policyfile.unknown_key``.
    """
    for key in found:
        if key not in known:
            raise InputError(
                "policyfile.unknown_key",
                f"{where} has the unknown key {reprlib.repr(key)}; expected one of: "
                + ", ".join(sorted(known)),
            )
