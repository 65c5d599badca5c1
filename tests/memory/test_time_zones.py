"""Time zones: names, offsets, and local times at every edge."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionskin.memory.time_zones import (
    UNKNOWN_ZONE,
    InvalidTimeZoneError,
    TimeZone,
    ZoneChoice,
    aware_time,
    local_day,
    local_time,
    offset_text,
    parse_time,
)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" europe/berlin ", "Europe/Berlin"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("US/Pacific", "US/Pacific"),
        ("Europe/Kiev", "Europe/Kiev"),
        ("UTC", "UTC"),
        ("Z", "UTC"),
        ("+05:45", "+05:45"),
        ("+0545", "+05:45"),
        ("-12", "-12:00"),
        ("UTC+14:00", "+14:00"),
        ("gmt-3", None),
        ("-12:01", None),
        ("+14:01", None),
        ("+25:00", None),
        ("Europe", None),
        ("../etc/passwd", None),
        ("right/UTC", None),
        ("localtime", None),
        ("Mars/Phobos", None),
        ("x" * 5000, None),
        ("Europe/Berlin\0", None),
        ("", None),
    ],
)
def test_names_and_offsets_are_zones_and_nothing_else_is(text: str, name: str | None) -> None:
    if name:
        assert TimeZone.parse(text).name == name
        return
    with pytest.raises(InvalidTimeZoneError, match="Europe/Berlin") as caught:
        TimeZone.parse(text)
    assert len(str(caught.value)) < 300


def test_an_offset_follows_daylight_saving_time_through_gap_and_fold() -> None:
    berlin = TimeZone.parse("Europe/Berlin")
    gap, fold = _at("2026-03-29T01:00:00+00:00"), _at("2026-10-25T01:00:00+00:00")
    assert [berlin.offset_at(gap - 1), berlin.offset_at(gap)] == [3600, 7200]
    assert [berlin.offset_at(fold - 1), berlin.offset_at(fold)] == [7200, 3600]
    shown = [local_time(at, berlin.offset_at(at)).isoformat() for at in (gap - 1, gap, fold - 1)]
    assert shown == ["2026-03-29T01:59:59", "2026-03-29T03:00:00", "2026-10-25T02:59:59"]
    assert local_time(fold, 3600).isoformat() == "2026-10-25T02:00:00"


@given(
    at=st.floats(-1e15, 1e15),
    zone=st.sampled_from(["Europe/Berlin", "Pacific/Kiritimati", "-12:00", "+14:00", "+05:45"]),
)
def test_no_time_raises_in_any_zone(at: float, zone: str) -> None:
    offset = TimeZone.parse(zone).offset_at(at)
    assert offset is not None
    assert date.min <= local_day(at, offset) <= date.max
    assert local_time(at, offset).tzinfo is None
    assert aware_time(at, offset).tzinfo is not None


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
@pytest.mark.parametrize("offset", [-43_200, 50_400, 100_000])
def test_the_first_and_last_year_have_local_times(year: str, offset: int) -> None:
    at = datetime.fromisoformat(year).replace(tzinfo=UTC).timestamp()
    assert local_time(at, offset).year in (1, 9999)
    assert aware_time(at, offset).timestamp() == at


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-11-30T08:00:00+09:00", 32_400),
        ("2026-11-30T08:00:00-12:00", -43_200),
        ("2026-11-30T08:00:00+05:45", 20_700),
        ("2026-11-30T08:00:00+00:00", 0),
        ("2026-11-30T08:00:00Z", None),
        ("2026-11-30T08:00:00-00:00", None),
        ("2026-11-30T08:00:00", None),
    ],
)
def test_a_time_states_its_offset_or_none(text: str, offset: int | None) -> None:
    assert parse_time(text)[1] == offset


def test_the_request_comes_before_the_user_the_token_and_the_default() -> None:
    names = ["Asia/Tokyo", "Europe/Berlin", "America/Lima", "Africa/Lagos"]
    requested, stored, claimed, default = map(TimeZone.parse, names)
    assert ZoneChoice(requested, claimed).zone(stored.name, default) == requested
    assert ZoneChoice(claimed=claimed).zone(stored.name, default) == stored
    assert ZoneChoice(claimed=claimed).zone("", default) == claimed
    assert ZoneChoice().zone("", default) == default
    assert ZoneChoice().zone("Mars/Phobos", UNKNOWN_ZONE) == UNKNOWN_ZONE


def test_offsets_are_written_with_sign_hours_and_minutes() -> None:
    assert list(map(offset_text, (0, 20_700, -43_200, -1800))) == [
        *("+00:00", "+05:45", "-12:00", "-00:30")
    ]
