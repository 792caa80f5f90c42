"""Agreement of a document with its certificates: time, kind and names (X-21, X-22, X-24, T-3).

Checked only after the signature: before that, an attacker could have chosen both.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from nitro_attest._internal.times import from_milliseconds
from nitro_attest.errors import PolicyFailure
from nitro_attest.verification.core import Kind
from nitro_attest.verification.document import UnverifiedDocument
from nitro_attest.verification.path import CertificatePath

_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z0-9]+)+")
_ROOT_SUFFIX: Final = ".nitro-enclaves"
_PARTITION: Final = re.compile(rf"(aws(?:-[a-z0-9]+)*){re.escape(_ROOT_SUFFIX)}")
COMMERCIAL: Final = "aws"
"""The partition whose genuine documents show the names that X-24 expects. Of no other partition has
a document been seen."""

_KIND_MARKS: Final[dict[Kind, str]] = {"enclave": "-enc", "nitrotpm": "-tpm"}


class Names(NamedTuple):
    """The result of comparing the names in a document with those in its certificates.

    Attributes:
        instance_id: The EC2 instance id in the module_id: everything before its last hyphen.
        region: The AWS region in the signing certificate's name; None if that has another form.
            Outside the commercial partition, the only region in the names that contain one.
        partition: The AWS partition of the root.
        failures: Disagreements about enclave, instance or region (X-24).
        kind_failures: Names that do not show the document's kind (T-3).
    """

    instance_id: str
    region: str | None
    partition: str
    failures: tuple[PolicyFailure, ...]
    kind_failures: tuple[PolicyFailure, ...]


@lru_cache(maxsize=256)  # equal for all documents of an enclave, and 5 us each
def compare_names(kind: Kind, module_id: str, root_name: str, path_names: tuple[str, ...]) -> Names:
    """Compares the kind and the module_id of a document with the common names in its path.

    Args:
        kind: The kind of the document.
        module_id: The module_id of the document.
        root_name: The common name of the trusted root, which gives the partition.
        path_names: ``CertificatePath.names``: below the root, the signing certificate last.
    """
    *authorities, signer = path_names
    kind_failures = _kind_failures(kind, module_id, signer)
    instance_id = module_id.rpartition("-")[0]
    partition = _partition(root_name)
    region = _region_between(f"{module_id}.", signer, f".{partition}")
    if region is None:
        expected = f"{module_id}.<region>.{partition}"
    else:
        authority = f".{region}.{partition}{_ROOT_SUFFIX}"
        expected = f"{instance_id}{authority}"
        if authorities[-1:] == [expected] and all(n.endswith(authority) for n in authorities):
            return Names(instance_id, region, partition, (), kind_failures)
    if partition != COMMERCIAL:
        region = _only_region(partition, path_names)
    found = ", ".join(path_names)
    failure = PolicyFailure(
        "consistency.module_id",
        f"names in the certificates of {module_id!r}: expected {expected!r}, found "
        f"{', '.join(map(repr, path_names))}",
        expected=expected,
        found=found,
    )
    return Names(instance_id, region, partition, (failure,), kind_failures)


def _partition(root_name: str) -> str:
    """Returns the partition that a root names; a root of one's own has the commercial names."""
    match = _PARTITION.fullmatch(root_name)
    return match[1] if match else COMMERCIAL


def _region_between(prefix: str, name: str, suffix: str) -> str | None:
    found = name[len(prefix) : -len(suffix)]
    if name != f"{prefix}{found}{suffix}" or not _REGION.fullmatch(found):
        return None
    return found


def _only_region(partition: str, names: tuple[str, ...]) -> str | None:
    """Returns the region where the form of the names is not known; None if two names differ."""
    form = re.compile(
        rf".+\.({_REGION.pattern})\.(?:{partition}|{COMMERCIAL})(?:{re.escape(_ROOT_SUFFIX)})?"
    )
    regions = {match[1] for match in map(form.fullmatch, names) if match}
    return regions.pop() if len(regions) == 1 else None


def _kind_failures(kind: Kind, module_id: str, signer: str) -> tuple[PolicyFailure, ...]:
    mark = _KIND_MARKS[kind]
    if mark in module_id and mark in signer:
        return ()
    return (
        PolicyFailure(
            "consistency.kind",
            f"kind {kind}: expected {mark!r} in the module_id and in the name of the signing "
            f"certificate, found {module_id!r} and {signer!r}",
            expected=mark,
            found=f"{module_id}, {signer}",
        ),
    )


def time_failures(
    document: UnverifiedDocument, path: CertificatePath, at_ms: int, skew_ms: int
) -> list[PolicyFailure]:
    """Compares the document's time with the verification time (X-22) and its certificate (X-21)."""
    made = document.timestamp_ms
    failures = []
    if made > at_ms + skew_ms:
        failures.append(
            PolicyFailure(
                "freshness.future",
                f"the document was made at {document.timestamp}, after the verification time "
                f"{from_milliseconds(at_ms)}; check this machine's clock",
                expected=f"at most {from_milliseconds(at_ms + skew_ms).isoformat()}",
                found=document.timestamp.isoformat(),
            )
        )
    leaf = path.leaf
    if not leaf.not_before_ms - skew_ms <= made <= leaf.not_after_ms + skew_ms:
        window = (
            f"{from_milliseconds(leaf.not_before_ms).isoformat()} to "
            f"{from_milliseconds(leaf.not_after_ms).isoformat()}"
        )
        failures.append(
            PolicyFailure(
                "freshness.timestamp_outside_certificate",
                f"the document was made at {document.timestamp}, outside the validity of its "
                f"signing certificate ({window})",
                expected=window,
                found=document.timestamp.isoformat(),
            )
        )
    return failures
