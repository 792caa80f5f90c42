"""The certificate chain as a drawing: the times for which each certificate is valid.

Certificates are valid for 3 hours to 30 years, so the axis is logarithmic in both directions from
the time of the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import copysign, log10
from typing import Final

from nitro_attest.report.certificates import CertificateRow
from nitro_attest.report.markup import Markup, element
from nitro_attest.report.wording import duration, utc

_WIDTH: Final = 720
_MARGIN: Final = 12
_TOP: Final = 64
_ROW: Final = 46
_BAR: Final = 14
_NAME_CHARACTERS: Final = 64
_LEAST_GAP: Final = 24
_MINUTE: Final = timedelta(minutes=1)
_LEAST: Final = timedelta(hours=1)
_TICKS: Final = (
    ("1 min", timedelta(minutes=1)),
    ("1 h", timedelta(hours=1)),
    ("1 d", timedelta(days=1)),
    ("30 d", timedelta(days=30)),
    ("1 y", timedelta(days=365)),
    ("10 y", timedelta(days=3652)),
    ("100 y", timedelta(days=36525)),
    ("1000 y", timedelta(days=365250)),
)


class _Axis:
    """Converts times to positions."""

    def __init__(self, zero: datetime, times: Sequence[datetime]) -> None:
        self._zero = zero
        distances = [_logarithm(time - zero) for time in times]
        self._left = min([*distances, -_logarithm(_LEAST)])
        self._right = max([*distances, _logarithm(_LEAST)])

    def at(self, time: datetime) -> float:
        """Returns the position of a time."""
        return self.after(time - self._zero)

    def after(self, distance: timedelta) -> float:
        """Returns the position of a time by its distance from the document's."""
        place = (_logarithm(distance) - self._left) / (self._right - self._left)
        return round(_MARGIN + place * (_WIDTH - 2 * _MARGIN), 1)

    def ticks(self) -> Iterator[tuple[str, float]]:
        """Yields label and position of each tick in the range."""
        for label, distance in _TICKS:
            for sign, signed in (("-", -distance), ("+", distance)):
                x = self.after(signed)
                inside = self._left <= _logarithm(signed) <= self._right
                if inside and abs(x - self.at(self._zero)) > _LEAST_GAP:
                    yield sign + label, x


def _logarithm(distance: timedelta) -> float:
    return copysign(log10(1 + abs(distance) / _MINUTE), distance / _MINUTE)


def chain_drawing(
    rows: Sequence[CertificateRow], made: datetime, verified: datetime | None
) -> Markup:
    """Draws the chain.

    Args:
        rows: The certificates, the root first.
        made: The time of the document.
        verified: The verification time; None if it is not known.

    Returns:
        An SVG element with a title and a description.
    """
    times = [time for row in rows for time in (row.not_before, row.not_after)]
    axis = _Axis(made, times if verified is None else [*times, verified])
    height = _TOP + _ROW * len(rows) + _MARGIN
    return element(
        "svg",
        element("title", "Validity of the certificates", id="chain-title"),
        element("desc", _description(rows, made, verified), id="chain-description"),
        *_scale(axis, height),
        *(_bar(axis, row, verified, _row_top(number)) for number, row in enumerate(rows)),
        *_moment(axis, made, "document made", "made", 14, height),
        *([] if verified is None else _moment(axis, verified, "verified", "verified", 30, height)),
        *(_label(row, verified, _row_top(number)) for number, row in enumerate(rows)),
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_labelledby="chain-title chain-description",
    )


def _description(rows: Sequence[CertificateRow], made: datetime, verified: datetime | None) -> str:
    windows = [f"{r.role}: {utc(r.not_before)} to {utc(r.not_after)}" for r in rows]
    times = [f"document made: {utc(made)}"]
    if verified is not None:
        times.append(f"verified: {utc(verified)}")
    return "; ".join(windows + times)


def _scale(axis: _Axis, height: int) -> Iterator[Markup]:
    for label, x in axis.ticks():
        yield element("line", x1=x, x2=x, y1=_TOP - 12, y2=height, class_="tick")
        yield element("text", label, x=x, y=_TOP - 16, text_anchor="middle", class_="scale")


def _row_top(number: int) -> int:
    return _TOP + _ROW * number


def _valid(row: CertificateRow, verified: datetime | None) -> bool:
    return verified is None or row.not_before <= verified <= row.not_after


def _bar(axis: _Axis, row: CertificateRow, verified: datetime | None, top: int) -> Markup:
    left, right = axis.at(row.not_before), axis.at(row.not_after)
    return element(
        "rect",
        x=left,
        y=top + 18,
        width=max(2, round(right - left, 1)),
        height=_BAR,
        rx=3,
        class_="window" if _valid(row, verified) else "window outside",
    )


def _label(row: CertificateRow, verified: datetime | None, top: int) -> Markup:
    state = duration(row.not_after - row.not_before)
    if verified is not None and not _valid(row, verified):
        state += ", expired" if verified > row.not_after else ", not yet valid"
    return element(
        "text",
        element("tspan", f"{row.role} ({state})", class_="role"),
        f" {_shortened(row.name)}",
        x=_MARGIN,
        y=top + 12,
        class_="label",
    )


def _moment(
    axis: _Axis, time: datetime, label: str, kind: str, y: int, height: int
) -> Iterator[Markup]:
    x = axis.at(time)
    before = x > _WIDTH / 2
    yield element("line", x1=x, x2=x, y1=y - 10, y2=height, class_=f"moment {kind}")
    yield element(
        "text",
        f"{label} {utc(time)}",
        x=x - 5 if before else x + 5,
        y=y,
        text_anchor="end" if before else "start",
        class_="label",
    )


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else f"{name[:_NAME_CHARACTERS]}..."
