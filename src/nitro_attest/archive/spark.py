"""PySpark: a DataFrame of documents to a DataFrame of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from nitro_attest.archive.arrow import SCHEMA, Columns, check_arguments, names_of, verify_batch
from nitro_attest.errors import InputError
from nitro_attest.verification.requirements import At
from nitro_attest.verification.verifier import NitroTpmVerifier, Verifier

if TYPE_CHECKING:  # the caller has it: frame is one of its objects
    from pyspark.sql import DataFrame

__all__ = ["verify"]

_DEFAULT_COLUMNS: Final = Columns()


def verify(
    frame: DataFrame,
    verifier: Verifier | NitroTpmVerifier,
    columns: Columns = _DEFAULT_COLUMNS,
    *,
    at: At = "now",
    max_age: timedelta | None = None,
) -> DataFrame:
    """Verifies the documents of a DataFrame of PySpark with ``mapInArrow``.

    Each task has a copy of the verifier, with a cache of its own: sort or partition by enclave to
    verify each path once. This package and pyarrow must be installed on the executors.

    Example:
        >>> from nitro_attest.archive import spark  # doctest: +SKIP
        >>> results = spark.verify(frame, verifier, Columns(keep=("id",)))  # doctest: +SKIP

    Args:
        frame: The documents.
        verifier: As for ``verify_batch``, like all that follow.
        columns: The names of the columns.
        at: The verification time of every row. With ``"now"`` each task reads its own clock.
        max_age: The maximum age of a document.

    Returns:
        The results, in the order of the partitions. Nothing is verified before they are read.

    Raises:
        InputError: ``input.column``: a column is missing, or there are two of its name.
            ``input.expected`` or ``input.time``: another argument is wrong. A wrong type of a
            column is an error of the tasks.
    """
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    check_arguments(verifier, columns, at)
    for name in names_of(columns):
        if frame.columns.count(name) != 1:
            raise InputError(
                "input.column",
                f"expected one column {name!r}, found {frame.columns.count(name) or 'none'}; the "
                "columns are: " + ", ".join(map(repr, frame.columns)),
            )

    def results(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield verify_batch(batch, verifier, columns, at=at, max_age=max_age)

    kept = [frame.schema[name] for name in columns.keep]
    return frame.mapInArrow(results, StructType([*kept, *from_arrow_schema(SCHEMA).fields]))
