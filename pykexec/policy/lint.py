# SPDX-License-Identifier: Apache-2.0
"""What of a policy is allowed, and may be a mistake all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pykexec.policy.model import Policy, Window
from pykexec.policy.outdated import ends
from pykexec.policy.windows import next_start, span, zone_of

_YEAR = 366


def doubts(policy: Policy, now: datetime) -> Iterator[str]:
    """A line for each."""
    for window in policy.windows:
        yield from _window_doubts(window, now)
    if policy.windows and all(next_start(window, now) is None for window in policy.windows):
        yield "windows: none begins within a year: they refuse every boot"
    used = set(policy.origin.networks)
    rules = " ".join(rule.expression for rule in policy.rules)
    for name, networks in policy.networks.items():
        if any(network.prefixlen == 0 for network in networks):
            yield f"networks.{name}: every address is in it"
        if not policy.origin.by_site and name not in used and name not in rules:
            yield f"networks.{name}: nothing asks for it"
    for limit in policy.rates:
        wider = [
            other
            for other in policy.rates
            if other is not limit
            and other.tag == limit.tag
            and other.within_s <= limit.within_s
            and other.count >= limit.count
            and (other.asks or not limit.asks)
        ]
        for other in wider:
            yield f"rates.{other.name}: never reached before {limit.name} is"
    for entry in policy.outdated:
        end = ends(entry)
        if end is not None and end <= now:
            yield f"outdated.{entry.name}: refused since {entry.until}; allow it no more at all"


def _window_doubts(window: Window, now: datetime) -> Iterator[str]:
    if window.dates:
        today = now.astimezone(zone_of(window)).date()
        if max(window.dates) < today:
            yield f"windows.{window.name}: all of its dates are over"
        return
    today = now.astimezone(zone_of(window)).date()
    wanted = _length(window)
    for number in range(_YEAR):
        day = today + timedelta(days=number)
        if window.days and day.weekday() not in window.days:
            continue
        found = span(window, day)
        if found is None:
            yield f"windows.{window.name}: does not take place on {day}: the clocks skip it"
        elif (length := found[1] - found[0]) != wanted:
            yield f"windows.{window.name}: takes {_hours(length)} on {day}: the clocks are set"


def _length(window: Window) -> timedelta:
    """By the clock's face."""
    start = timedelta(hours=window.start.hour, minutes=window.start.minute)
    end = timedelta(days=1)
    if window.end is not None:
        end = timedelta(hours=window.end.hour, minutes=window.end.minute)
    return end - start if end > start else end - start + timedelta(days=1)


def _hours(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    return f"{minutes // 60} h {minutes % 60:02} min"
