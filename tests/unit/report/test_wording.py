from datetime import datetime, timedelta, timezone

import pytest

from nitro_attest.report.wording import duration, utc


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=-61), "1 min 1 s"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=1, minutes=59), "1 d"),
        (timedelta(days=20, hours=1), "20 d 1 h"),
        (timedelta(days=400), "1 y 34 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(length, text):
    assert duration(length) == text


def test_a_time_is_given_in_utc_with_milliseconds_only_if_it_has_some():
    east = timezone(timedelta(hours=2))
    assert utc(datetime(2026, 3, 1, 14, tzinfo=east)) == "2026-03-01 12:00:00 UTC"
    moment = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
    assert utc(moment) == "2026-03-01 12:00:00.250 UTC"
