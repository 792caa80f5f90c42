"""Every way in which a document can break a rule, by name.

One module for each step of the verifier, in its order. A fault breaks the rule in front of the dot
of its name and no other: certificates are re-signed by their issuers and the payload by its leaf.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nitro_attest.testing.cases import Fault
from nitro_attest.testing.faults import chain, envelope, payload, policy

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        fault.id: fault
        for table in (envelope.FAULTS, payload.FAULTS, chain.FAULTS, policy.FAULTS)
        for fault in table
    }
)
"""Ways in which a document can break a rule, by id. Each fault has the code of its error."""
