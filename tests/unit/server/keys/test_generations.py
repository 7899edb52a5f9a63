# SPDX-License-Identifier: Apache-2.0
"""A key's generations: each step, and that no order of steps leaves a volume without its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest

from pykexec.server.errors import Conflict
from pykexec.server.keys import generations
from pykexec.server.keys.generations import Generation, Key, Orders, orders

_LAST = 4
ONE, TWO = Generation(1, True, True), Generation(2)
BOTH = Key(current=Generation(2, True), previous=ONE)


@pytest.mark.parametrize(
    ("key", "orders_are"),
    [
        (Key(), Orders(True, 0)),
        (Key(current=ONE), Orders(False, 0)),
        (Key(current=ONE, due=1), Orders(True, 0)),
        (Key(current=TWO, due=1), Orders(False, 0)),
        (Key(next=TWO, current=ONE, due=1), Orders(False, 0)),
        (BOTH, Orders(False, 0)),
        (replace(BOTH, current=Generation(2, True, True)), Orders(False, 1)),
        (replace(BOTH, current=Generation(2, False, True)), Orders(False, 0)),
        (replace(BOTH, current=Generation(2, True, True), due=2), Orders(False, 1)),
    ],
)
def test_the_system_is_told_one_step_at_a_time(key: Key, orders_are: Orders) -> None:
    assert orders(key) == orders_are


@pytest.mark.parametrize(
    ("key", "version", "fits", "becomes"),
    [
        (Key(next=TWO), 2, True, Key(current=Generation(2, True))),
        (Key(next=TWO), 2, False, Key()),
        (Key(TWO, ONE, None, 1), 2, True, BOTH),
        (Key(TWO, ONE, None, 1), 2, False, Key(None, ONE, None, 1)),
        # Seen while it waited: it is used all the same, and has to go, too.
        (Key(TWO, ONE, None, 2), 2, True, replace(BOTH, due=2)),
        (Key(current=Generation(1)), 1, True, Key(current=Generation(1, True))),
        (Key(current=ONE), 1, False, Key(current=Generation(1), due=1)),
        (BOTH, 2, False, Key(current=Generation(1), due=2)),
        (BOTH, 1, False, BOTH),
        (Key(current=ONE), 7, True, Key(current=ONE)),
    ],
)
def test_what_the_agent_finds_decides(key: Key, version: int, fits: bool, becomes: Key) -> None:
    assert generations.judged(key, version, fits) == becomes


@pytest.mark.parametrize(
    ("key", "version", "becomes"),
    [
        (BOTH, 2, replace(BOTH, current=Generation(2, True, True))),
        (BOTH, 1, BOTH),
        (Key(current=Generation(2)), 2, Key(current=Generation(2))),
        (Key(next=TWO), 2, Key(next=TWO)),
    ],
)
def test_a_boot_counts_that_was_given_what_is_proven(key: Key, version: int, becomes: Key) -> None:
    assert generations.came_up(key, version) == becomes


def test_what_is_handed_in_waits_and_takes_the_place_of_what_waits() -> None:
    assert generations.escrowed(Key(current=ONE), 2) == Key(TWO, ONE)
    assert generations.escrowed(Key(TWO, ONE), 3) == Key(Generation(3), ONE)


def test_nothing_is_handed_in_while_an_older_one_is_on_the_volume() -> None:
    with pytest.raises(Conflict, match="generation 1 is still on the volume"):
        generations.escrowed(BOTH, 3)


def test_what_was_to_be_removed_is_gone_and_may_be_said_to_be_again() -> None:
    ready = replace(BOTH, current=Generation(2, True, True))
    gone = generations.removed(ready, 1)
    assert gone == Key(current=Generation(2, True, True))
    assert generations.removed(gone, 1) == gone


@pytest.mark.parametrize(
    ("key", "version", "stage"), [(Key(TWO, ONE), 1, "current"), (Key(TWO, ONE), 2, "next"),
                                  (BOTH, 1, "previous")]
)  # fmt: skip
def test_nothing_else_is_said_to_be_removed(key: Key, version: int, stage: str) -> None:
    with pytest.raises(Conflict, match=f"generation {version} is {stage}"):
        generations.removed(key, version)


def test_what_is_not_kept_any_more_is_not_due() -> None:
    assert generations.due(Key(current=ONE), 1).due == 1
    assert generations.due(Key(current=ONE), 4) == Key(current=ONE)


@dataclass(frozen=True)
class _World:
    """A server's view, the volume's key slots, what the system has made and not handed in yet, and
    the generation that this boot was given; last is the newest version.
    """

    key: Key
    volume: frozenset[int]
    made: int = 0
    given: int = 0
    last: int = 1


def _steps(world: _World) -> Iterator[_World]:
    """All that can happen next: each a single change that may be the last before the power fails,
    by a system that does what it is told, and an agent that says what it sees.
    """
    key, told = world.key, orders(world.key)
    # A boot: the agent tries what it is given, and is heard, or not.
    given = key.current.version if key.current else 0
    yield replace(world, given=given, made=0)
    for version in [each.version for stage, each in key.alive.items() if stage != "previous"]:
        fits = version in world.volume
        yield replace(world, key=generations.judged(key, version, fits), given=given, made=0)
    if world.given:
        yield replace(world, key=generations.came_up(key, world.given))
    if told.create and not world.made and world.last < _LAST:
        # First onto the volume, then handed in; or handed in with a slip of the pen.
        made = world.last + 1
        yield replace(world, volume=world.volume | {made}, made=made, last=made)
        yield replace(world, key=generations.escrowed(key, made), last=made)
    if world.made and key.previous is None:
        yield replace(world, key=generations.escrowed(key, world.made), made=0)
    if told.remove:
        yield replace(world, volume=world.volume - {told.remove})
        if told.remove not in world.volume:
            yield replace(world, key=generations.removed(key, told.remove))
    # Somebody sees one.
    for each in key.alive.values():
        yield replace(world, key=generations.due(key, each.version))


@cache
def _reachable() -> dict[_World, frozenset[_World]]:
    """Every state that there can be, and what comes after each."""
    open_ = [_World(Key(current=Generation(1)), frozenset({1}))]
    found: dict[_World, frozenset[_World]] = {}
    while open_:
        if (world := open_.pop()) not in found:
            found[world] = frozenset(_steps(world))
            open_ += found[world]
    return found


def test_whatever_step_was_the_last_a_key_that_opens_the_volume_is_kept() -> None:
    worlds = _reachable()
    assert len(worlds) > 500
    for world in worlds:
        kept = {each.version for each in world.key.alive.values()}
        assert kept & world.volume, world
        # And the one that the next boot is given is among them.
        assert world.key.current and world.key.current.version in world.volume, world


def test_a_rotation_that_was_begun_can_be_ended_from_wherever_it_was_left() -> None:
    before: dict[_World, list[_World]] = {}
    for world, after in _reachable().items():
        for each in after:
            before.setdefault(each, []).append(world)
    ended = {world for world in _reachable() if not world.key.due and len(world.key.alive) == 1}
    open_ = list(ended)
    while open_:
        for world in before.get(open_.pop(), []):
            if world not in ended:
                ended.add(world)
                open_.append(world)
    # The model makes no more than _LAST generations.
    assert all(world in ended for world in _reachable() if world.last < _LAST - 1)
