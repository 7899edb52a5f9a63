# SPDX-License-Identifier: Apache-2.0
"""[[windows]] of a policy: hours of a time zone, from a wall clock to instants.

A window begins, and ends, when the clocks there show its time for the first time. So what they skip
in spring is the moment of the jump (a window within the gap does not take place), and what they
show twice in autumn counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from pykexec.policy.clause import either
from pykexec.policy.model import Context, Policy, Window
from pykexec.policy.table import Table

WINDOWS_MAX = 64
DATES_MAX = 64
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MIDNIGHT = "24:00"
_DAY = timedelta(days=1)
_AHEAD = 400  # days: whatever comes every year comes within them


def parse_windows(root: Table) -> tuple[Window, ...]:
    """The tables; PolicyError for what is no time, day, date or zone."""
    tables = root.tables("windows")
    if len(tables) > WINDOWS_MAX:
        raise root.fault("windows", f"{len(tables)} of them, at most {WINDOWS_MAX} are taken")
    return tuple(map(_window, tables))


def _window(table: Table) -> Window:
    name, zone = table.name(), table.name("zone")
    start, end = _time(table, "from"), _time(table, "to")
    days = _days(table)
    texts = table.texts("dates")
    if len(texts) > DATES_MAX:
        raise table.fault("dates", f"{len(texts)} of them, at most {DATES_MAX} are taken")
    dates = tuple(parse_date(table, "dates", text) for text in texts)
    table.end()
    if _zone(zone) is None:
        raise table.fault("zone", f"{zone!r} is no time zone that is known here; Europe/Berlin is")
    if days and dates:
        raise table.fault("dates", "contradicts days")
    if start is None:
        raise table.fault("from", f"must be before {_MIDNIGHT}")
    if start == end:
        raise table.fault("to", f"is when it begins; a whole day is from 00:00 to {_MIDNIGHT}")
    return Window(name, zone, start, end, days, dates)


def _time(table: Table, key: str) -> time | None:
    text = table.name(key)
    if text == _MIDNIGHT:
        return None
    if not (found := _TIME.fullmatch(text)):
        raise table.fault(key, f"{text!r} is no time of day; 08:00 is, and {_MIDNIGHT}")
    return time(int(found[1]), int(found[2]))


def _days(table: Table) -> tuple[int, ...]:
    texts = table.texts("days")
    for text in texts:
        if text not in DAYS:
            raise table.fault("days", f"{text!r} is none of {either(DAYS)}")
    return tuple(sorted({DAYS.index(text) for text in texts}))


def parse_date(table: Table, key: str, text: str) -> date:
    """A day as text, 2026-12-24; PolicyError."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise table.fault(key, f"{text!r} is no day; 2026-12-24 is")


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # Unknown; a folder; no name of one.
        return None


def zone_of(window: Window) -> ZoneInfo:
    """Its time zone, which was there when it was read."""
    zone = _zone(window.zone)
    assert zone is not None
    return zone


def span(window: Window, day: date) -> tuple[datetime, datetime] | None:
    """When the window that begins on that day begins and ends, in UTC; None where none does."""
    if window.dates and day not in window.dates:
        return None
    if window.days and day.weekday() not in window.days:
        return None
    zone = zone_of(window)
    last = day if window.end is not None and window.end > window.start else day + _DAY
    start = _first(datetime.combine(day, window.start), zone)
    end = _first(datetime.combine(last, window.end or time()), zone)
    return (start, end) if start < end else None


def _first(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock there first shows that time, or a later one."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # Skipped: fold 0 goes on by the offset of before, and fold 1 by that of afterwards (PEP 495).
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _jump(early, instant, zone)


def _jump(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The moment between the two at which the clocks go forward, to the second."""
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=1) // 2)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def spans(window: Window, now: datetime, days: int = 1) -> Iterator[tuple[datetime, datetime]]:
    """All that end after now and begin within so many days, in their order."""
    today = _there(window, now).date()
    for number in range(-1, days + 1):
        try:
            found = span(window, today + number * _DAY)
        except OverflowError:  # Before the year 1, after the year 9999.
            continue
        if found and found[1] > now:
            yield found


def is_open(window: Window, now: datetime) -> bool:
    """Whether now is within it."""
    return any(start <= now for start, _ in spans(window, now))


def open_windows(policy: Policy, context: Context) -> list[str]:
    """Names of the policy's windows that are open."""
    return [window.name for window in policy.windows if is_open(window, context.time)]


def next_start(window: Window, now: datetime) -> datetime | None:
    """When it begins next, in UTC; None if not within a year."""
    return next((start for start, _ in spans(window, now, _AHEAD) if start > now), None)


def _there(window: Window, now: datetime) -> datetime:
    """now by the clocks of its zone; where the calendar ends before, by those of UTC."""
    try:
        return now.astimezone(zone_of(window))
    except OverflowError:
        return now


def shown_time(window: Window, now: datetime) -> str:
    """now as the clocks there show it."""
    there = _there(window, now)
    return f"{DAYS[there.weekday()]} {there:%Y-%m-%d %H:%M} {window.zone}"


def words(window: Window) -> str:
    """The window for people."""
    if window.dates:
        when = either(map(str, window.dates))
    else:
        when = either(DAYS[day] for day in window.days) if window.days else "every day"
    end = f"{window.end:%H:%M}" if window.end else _MIDNIGHT
    return f"{window.name}: {when}, {window.start:%H:%M} to {end} {window.zone}"
