# SPDX-License-Identifier: Apache-2.0
"""The generations of a key: which is used, which waits to be proven, which may go. No I/O here.

A new generation is *next* until the agent has opened the volume with it; then it is *current*, and
the one before it *previous*, which still opens the volume. It is to be removed there once the
system has come up in a boot that was given the new one, and is forgotten here when the system says
that it is gone. So at every moment there is a generation that is kept and opens the volume,
whichever step was the last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pykexec.server.errors import Conflict

STAGES = ("next", "current", "previous")


@dataclass(frozen=True, slots=True)
class Generation:
    """One value; proven: the agent has opened the volume with it, used: the system has come up in a
    boot that was given it since.
    """

    version: int
    proven: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """All that is kept of a key; due is the newest version that has to go, 0 where none has."""

    next: Generation | None = None
    current: Generation | None = None
    previous: Generation | None = None
    due: int = 0

    @property
    def alive(self) -> dict[str, Generation]:
        """By stage."""
        found = {"next": self.next, "current": self.current, "previous": self.previous}
        return {stage: each for stage, each in found.items() if each is not None}

    def gone(self, after: Key) -> tuple[int, ...]:
        """Versions that are kept no more in a later state."""
        return tuple(e.version for e in self.alive.values() if not after.stage_of(e.version))

    def stage_of(self, version: int) -> str:
        """Of STAGES, or "" for one that is not kept."""
        return next((s for s, each in self.alive.items() if each.version == version), "")


@dataclass(frozen=True, slots=True)
class Orders:
    """What the system is to do now: make a new generation, remove one from the volume (or 0)."""

    create: bool
    remove: int


def orders(key: Key) -> Orders:
    """One step at a time: nothing is made while an older generation waits to be removed."""
    current = key.current
    due = key.next is None if current is None else key.due >= current.version
    create = due and key.next is None and key.previous is None
    ready = current is not None and current.proven and current.used
    return Orders(create, key.previous.version if key.previous and ready else 0)


def escrowed(key: Key, version: int) -> Key:
    """The system has handed one in; it takes the place of one that waits to be proven. Conflict
    while the generation before the current one is not gone.
    """
    if key.previous is not None:
        raise Conflict(
            f"generation {key.previous.version} is still on the volume: remove it first, when told"
        )
    return replace(key, next=Generation(version))


def judged(key: Key, version: int, fits: bool) -> Key:
    """The agent has tried one. What does not open the volume is never used; what is used already,
    and does not, gives way to the one before if that is kept, and has to be replaced.
    """
    stage = key.stage_of(version)
    if stage == "next" and fits:
        due = key.due if key.due >= version else 0
        return Key(None, Generation(version, proven=True), key.current, due)
    if stage == "next":
        return replace(key, next=None)
    if stage == "current" and fits:
        assert key.current
        return replace(key, current=replace(key.current, proven=True))
    if stage == "current":
        due = max(key.due, version)
        if key.previous is not None:
            # The volume may have come back from a backup: the one before is the better guess.
            return Key(key.next, Generation(key.previous.version), None, due)
        return replace(key, current=Generation(version), due=due)
    return key


def came_up(key: Key, version: int) -> Key:
    """The system runs in a boot that was given this one."""
    if key.current is not None and key.current.version == version and key.current.proven:
        return replace(key, current=replace(key.current, used=True))
    return key


def removed(key: Key, version: int) -> Key:
    """The system has taken one off the volume, or says so again; Conflict for one that it was not
    told to.
    """
    if not (stage := key.stage_of(version)):
        return key
    if orders(key).remove != version:
        raise Conflict(f"generation {version} is {stage}: it was not to be removed")
    return replace(key, previous=None)


def due(key: Key, version: int) -> Key:
    """Somebody has seen it, or it is too old."""
    return replace(key, due=max(key.due, version)) if key.stage_of(version) else key
