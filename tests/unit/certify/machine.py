# SPDX-License-Identifier: Apache-2.0
"""A machine to certify without one: a stick in a file, steps that do as they are told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pykexec.certify.disguise import Disguise
from pykexec.certify.engine import Engine
from pykexec.certify.history import Life, salt_of, start_record
from pykexec.certify.journal import Area
from pykexec.certify.keep import Keeper, find_keeper
from pykexec.certify.plan import TRIPS, Bench, Facts, Run, Step
from pykexec.certify.settings import Settings
from pykexec.certify.stick import FileArea, open_file
from pykexec.errors import FirmwareError
from pykexec.firmware.info import FirmwareInfo, Outcome
from pykexec.firmware.mailbox import Mailbox
from pykexec.image.stick import stick_pieces

PARTITION = 128 * 512
NO_TRIPS = Settings(round_trips=0)
NEVER = Outcome(0, "", 0, "agent")


class Reset(BaseException):
    """The user has switched the machine off, or Linux has ended: nothing of it goes on."""


@dataclass
class FileBlocks:
    """The stick's partition as the firmware would give it: what is written is whole blocks."""

    path: Path
    fault: OSError | None = None
    writes_left: int = 1 << 30
    info: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(block_size=512))

    def read(self, offset: int, size: int) -> bytes:
        with open(self.path, "rb") as file:
            return os.pread(file.fileno(), size, PARTITION + offset)

    def write(self, offset: int, data: bytes) -> None:
        assert offset % 512 == len(data) % 512 == 0
        if self.fault:
            raise self.fault
        self.writes_left -= 1
        if self.writes_left < 0:
            raise FirmwareError(errno.EROFS, "is write-protected", "stick")
        with open(self.path, "r+b") as file:
            os.pwrite(file.fileno(), data, PARTITION + offset)


def make_stick(path: Path) -> FileBlocks:
    """A stick as `pykexec certify` makes it, with an image that nobody boots."""
    with open(path, "wb") as file:
        for offset, data in stick_pieces(bytes(5000), bytes(3000)):
            file.seek(offset)
            file.write(data)
    return FileBlocks(path)


def opened(blocks: FileBlocks, path: str, anew: bool = False) -> FileArea:
    """A file of the stick."""
    return open_file(cast(Any, blocks), path, anew=anew)


def written(blocks: FileBlocks, path: str) -> bytes:
    """What was written into a file of the stick: failing tests print it."""
    return opened(blocks, path).read().rstrip(b"\n")


@dataclass
class Machine:
    """One machine with the stick in it; each boot is another engine over the same journal."""

    blocks: FileBlocks
    name: str = "uuid-and-serial"
    said: list[str] = field(default_factory=list)
    trips: list[int] = field(default_factory=list)
    disguise: Disguise = field(default_factory=lambda: Disguise(b"salt"))
    nr_boots: int = 0

    def keeper(self) -> Keeper:
        """Its place on the stick."""

        def open_(path: str, anew: bool) -> Area:
            return opened(self.blocks, path, anew)

        return find_keeper(open_, self.name, self.said.append)

    def boot(self, *words: Any, **settings: Any) -> Engine:
        """Start it, as engine() has it; comes back when all steps have an end."""
        engine = self.engine(*words, **settings)
        engine.run()
        return engine

    def engine(
        self,
        plan: Sequence[Step],
        outcome: Outcome = NEVER,
        *,
        boot_id: str = "",
        keeper: Keeper | None = None,
        settings: Settings = NO_TRIPS,
        trip: Callable[[Bench, int], None] | None = None,
    ) -> Engine:
        """What a start of it goes on with."""
        self.nr_boots += 1
        keeper = keeper or self.keeper()
        if not salt_of(keeper.journal.records):
            keeper.append(start_record(self.name, b"0123456789abcdef", {"pykexec": "1"}))
        mailbox, info = cast(Mailbox, None), cast(FirmwareInfo, None)
        bench = Bench(mailbox, info, settings, self.disguise, self.said.append)
        life = Life(boot_id or f"boot {self.nr_boots}", outcome)
        runs = {each.name: each.run for each in plan if isinstance(each, RunStep) and each.run}
        return Engine(bench, keeper, life, trip or self._trip, self._trip_facts, runs, plan)

    def _trip(self, bench: Bench, number: int) -> None:
        self.trips.append(number)
        raise Reset

    def _trip_facts(self, bench: Bench) -> Facts:
        return {"to_application_ms": 12.5}


@dataclass(frozen=True, slots=True)
class RunStep(Step):
    """A step with what it does."""

    run: Run | None = None


def step(name: str, run: Run) -> RunStep:
    """A step of a test."""
    return RunStep(name, f"the {name}", "so much", run)


TRIPS_STEP = Step(TRIPS, "there and back", "so much")
