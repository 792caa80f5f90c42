"""Archives of documents: Arrow batches, files on all processors of a machine, and engines.

Needs pyarrow, the extra ``arrow``: without it every import from here raises InputError
``input.extra``. Names are loaded at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nitro_attest._internal.lazy import lazy_names
from nitro_attest.errors import InputError

try:
    import pyarrow  # noqa: F401  every module of this package needs it
except ImportError as error:
    raise InputError(
        "input.extra",
        f"pyarrow is not installed ({error}); install this package with its extra arrow",
    ) from error

if TYPE_CHECKING:
    from nitro_attest.archive.arrow import SCHEMA as SCHEMA
    from nitro_attest.archive.arrow import Columns as Columns
    from nitro_attest.archive.arrow import verify_batch as verify_batch
    from nitro_attest.archive.arrow import verify_stream as verify_stream
    from nitro_attest.archive.dataset import Summary as Summary
    from nitro_attest.archive.dataset import verify_dataset as verify_dataset

_NAMES = {
    "arrow": ("SCHEMA", "Columns", "verify_batch", "verify_stream"),
    "dataset": ("Summary", "verify_dataset"),
}
"""The modules that define the public names. The imports above tell type checkers the same."""

if not TYPE_CHECKING:  # type checkers that saw __getattr__ would accept every name
    __getattr__, __dir__, __all__ = lazy_names(__name__, globals(), _NAMES)
