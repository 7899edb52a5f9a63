# SPDX-License-Identifier: Apache-2.0
"""[[windows]]: which instants a time of day is, also where clocks skip it or show it twice."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from pykexec.policy import PolicyError, parse_policy
from pykexec.policy.model import Window
from pykexec.policy.windows import is_open, next_start, shown_time, span, words

ANY = 'version = 1\nname = "p"\nallow_any_image = true\n'
BERLIN = "Europe/Berlin"
STEP = timedelta(minutes=15)


def window(start: str, end: str, zone: str = BERLIN, **more: tuple[int, ...]) -> Window:
    last = None if end == "24:00" else time.fromisoformat(end)
    return Window("w", zone, time.fromisoformat(start), last, **more)  # type: ignore[arg-type]


def refused(lines: dict[str, str], fault: str) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    with pytest.raises(PolicyError, match=re.escape(f"windows[0].{fault}")):
        parse_policy(f"{ANY}[[windows]]\n{text}".encode(), "p.toml")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2026-11-23T20:59", False),  # Monday, 21:59 in Berlin
        ("2026-11-23T21:00", True),
        ("2026-11-24T02:59", True),  # Tuesday, of the window that began on Monday
        ("2026-11-24T03:00", False),
        ("2026-11-22T23:00", False),  # Sunday night: no window begins on a Sunday
        ("2026-11-24T22:00", False),  # nor on a Tuesday
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins(now: str, inside: bool) -> None:
    assert is_open(window("22:00", "04:00", days=(0,)), utc(now)) == inside


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2026-12-23T22:59", False),
        ("2026-12-23T23:00", True),
        ("2026-12-24T22:59:59", True),
        ("2026-12-24T23:00", False),
    ],
)
def test_a_date_is_one_of_the_zone(now: str, inside: bool) -> None:
    day = Window("w", BERLIN, time(0), None, dates=(date(2026, 12, 24),))
    assert is_open(day, utc(now)) == inside


@pytest.mark.parametrize(
    ("start", "end", "day", "expected"),
    [
        # In spring the clocks of Berlin go from 02:00 to 03:00, at 01:00 UTC.
        ("02:30", "06:00", "2026-03-29", ("2026-03-29T01:00", "2026-03-29T04:00")),
        ("22:00", "02:30", "2026-03-28", ("2026-03-28T21:00", "2026-03-29T01:00")),
        ("02:15", "02:45", "2026-03-29", None),
        # In autumn they show 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC on.
        ("02:15", "02:45", "2026-10-25", ("2026-10-25T00:15", "2026-10-25T00:45")),
        ("02:30", "06:00", "2026-10-25", ("2026-10-25T00:30", "2026-10-25T05:00")),
        ("22:00", "02:30", "2026-10-24", ("2026-10-24T20:00", "2026-10-25T00:30")),
    ],
)
def test_what_clocks_skip_is_the_jump_and_what_they_show_twice_counts_once(
    start: str, end: str, day: str, expected: tuple[str, str] | None
) -> None:
    found = span(window(start, end), date.fromisoformat(day))
    assert found == (expected and (utc(expected[0]), utc(expected[1])))


def watched(wall: datetime, zone: str) -> datetime:
    """When somebody who looks at a clock there, now and then, first sees that time or later."""
    instant = wall.replace(tzinfo=UTC) - timedelta(hours=30)
    while instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wall:
        instant += STEP
    return instant


# Zones and days on which their clocks were set: by an hour, by half of one, at midnight, by a day.
CHANGES = [
    (BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"),
    ("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Havana", "2025-03-09"), ("America/Havana", "2025-11-02"),
    ("Asia/Beirut", "2022-03-27"), ("Asia/Beirut", "2022-10-30"),
    ("Pacific/Apia", "2011-12-30"), ("UTC", "2026-03-29"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_a_watcher_of_clocks_sees_the_same(zone: str, day: str) -> None:
    today = date.fromisoformat(day)
    hours = (("00:00", "00:30"), ("01:45", "02:15"), ("02:15", "02:45"), ("23:30", "01:15"))
    for first, last in ((time.fromisoformat(a), time.fromisoformat(b)) for a, b in hours):
        closes = today if last > first else today + timedelta(days=1)
        seen = (
            watched(datetime.combine(today, first), zone),
            watched(datetime.combine(closes, last), zone),
        )
        found = span(Window("w", zone, first, last), today)
        assert found == (seen if seen[0] < seen[1] else None), (first, last)


def test_the_next_one_is_told_and_one_that_is_over_has_none() -> None:
    nights = window("22:00", "04:00", days=(0, 2))
    assert next_start(nights, utc("2026-11-23T21:00")) == utc("2026-11-25T21:00")
    over = Window("w", BERLIN, time(0), None, dates=(date(2026, 1, 1),))
    assert next_start(over, utc("2026-11-23T21:00")) is None


@pytest.mark.parametrize("now", [datetime.min, datetime.max])
@pytest.mark.parametrize("zone", ["UTC", "America/Lima", "Asia/Tokyo"])
def test_a_clock_that_is_wrong_by_ages_is_no_accident(now: datetime, zone: str) -> None:
    open_at_noon = window("10:00", "14:00", zone)
    assert not is_open(open_at_noon, now.replace(tzinfo=UTC))
    assert shown_time(open_at_noon, now.replace(tzinfo=UTC)).endswith(zone)


GOOD = {"name": '"n"', "zone": f'"{BERLIN}"', "from": '"08:00"', "to": '"09:00"'}


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("from", '"8:00"', "from: '8:00' is no time of day; 08:00 is"),
        ("from", '"25:00"', "from: '25:00' is no time"),
        ("from", '"24:00"', "from: must be before 24:00"),
        ("to", '"08:00"', "to: is when it begins; a whole day is from 00:00 to 24:00"),
        ("to", '"24:01"', "to: '24:01' is no time"),
        ("days", '["monday"]', "days: 'monday' is none of mon, tue"),
        ("dates", '["24.12.2026"]', "dates: '24.12.2026' is no day"),
        ("dates", '["2026-02-30"]', "dates: '2026-02-30' is no day"),
        ("zone", '"Europe"', "zone: 'Europe' is no time zone"),
        ("zone", '"../../etc/passwd"', "zone: '../../etc/passwd' is no time zone"),
        ("zone", '"Europe/Nowhere"', "zone: 'Europe/Nowhere' is no time zone"),
        ("until", '"09:00"', "until: unknown key"),
    ],
)
def test_a_fault_is_named_with_its_key(key: str, value: str, fault: str) -> None:
    refused({**GOOD, key: value}, fault)


def test_days_and_dates_are_not_both() -> None:
    refused({**GOOD, "days": '["mon"]', "dates": '["2026-12-24"]'}, "dates: contradicts days")


@pytest.mark.parametrize("key", GOOD)
def test_nothing_is_guessed(key: str) -> None:
    refused({name: value for name, value in GOOD.items() if name != key}, f"{key}: missing")


def test_a_window_is_told_in_words() -> None:
    assert words(window("22:00", "24:00", days=(0, 1))) == f"w: mon or tue, 22:00 to 24:00 {BERLIN}"


def test_two_windows_have_two_names() -> None:
    one = f'[[windows]]\nname = "n"\nzone = "{BERLIN}"\nfrom = "01:00"\nto = "02:00"\n'
    with pytest.raises(PolicyError, match="windows: 'n' occurs twice"):
        parse_policy((ANY + one + one).encode(), "p.toml")
