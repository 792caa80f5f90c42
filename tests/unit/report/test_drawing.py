"""The drawing: times in their order from left to right, and the same in words."""

import re
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from nitro_attest.report.certificates import CertificateRow, certificates
from nitro_attest.report.drawing import _Axis, chain_drawing

EARLIEST = datetime(1970, 1, 1, tzinfo=timezone.utc)
LATEST = datetime(9999, 12, 31, tzinfo=timezone.utc)


def row(not_before, not_after, name="name"):
    return CertificateRow("role", name, "issuer", "1", "00", not_before, not_after)


def test_later_is_further_right(when):
    steps = [timedelta(seconds=-5), timedelta(0), timedelta(minutes=1), timedelta(hours=3)]
    times = [when + sign * step for sign in (-1, 1) for step in steps]
    axis = _Axis(when, times)
    places = [axis.at(time) for time in sorted(set(times))]
    assert all(one < other for one, other in pairwise(places))
    assert 0 < places[0] < places[-1] < 720


@pytest.mark.parametrize("made", [EARLIEST, LATEST])
@pytest.mark.parametrize("verified", [None, EARLIEST, LATEST])
def test_any_times_can_be_drawn(made, verified):
    drawing = chain_drawing([row(EARLIEST, LATEST), row(EARLIEST, EARLIEST)], made, verified)
    places = [float(x) for x in re.findall(r' (?:x|x1|x2)="([^"]*)"', drawing)]
    assert all(0 <= place <= 720 for place in places)
    assert "nan" not in drawing
    assert drawing.count("<rect") == 2


def test_each_certificate_both_times_and_a_text_alternative(reports, when):
    facts = reports["accepted"]._facts
    drawing = chain_drawing(certificates(facts), facts.content.timestamp, facts.verified_at)
    assert drawing.count("<rect") == 5
    assert drawing.count('class="window"') == 5
    assert "document made 2026-03-01 11:59:40.250 UTC" in drawing
    assert "verified 2026-03-01 12:00:00.250 UTC" in drawing
    assert 'role="img" aria-labelledby="chain-title chain-description"' in drawing
    description = re.search("<desc[^>]*>(.*?)</desc>", drawing)[1]
    assert "trusted root: 2019-10-28 13:28:05 UTC to 2049-10-28 14:28:05 UTC" in description
    assert "verified: 2026-03-01 12:00:00.250 UTC" in description


def test_an_expired_certificate_is_marked_in_words(when):
    hour = timedelta(hours=1)
    early, late = row(when, when + hour), row(when + 3 * hour, when + 4 * hour)
    drawing = chain_drawing([early, late], when, when + 2 * hour)
    assert drawing.count("window outside") == 2
    assert "role (1 h, expired)" in drawing
    assert "role (1 h, not yet valid)" in drawing
    assert "window outside" not in chain_drawing([early, late], when, None)


def test_a_long_name_is_shortened_and_escaped(when):
    drawing = chain_drawing([row(when, when, "<" * 100)], when, None)
    assert "&lt;" * 64 + "..." in drawing
    assert "<<" not in drawing
