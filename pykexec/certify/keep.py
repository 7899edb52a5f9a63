# SPDX-License-Identifier: Apache-2.0
"""Where the report of this machine is kept: a place on the stick, or memory where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pykexec.certify import history
from pykexec.certify.journal import Area, Journal, MemoryArea, Record
from pykexec.certify.settings import JOURNAL_SIZE, SLOTS, slot_paths
from pykexec.errors import FirmwareError, PykexecError
from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import describe

Open = Callable[[str, bool], Area]
"""A file of the stick by its path, read or to be filled anew; PykexecError where it cannot be."""


@dataclass(slots=True)
class Keeper:
    """A journal and, where it is on a stick, the files of its report."""

    journal: Journal
    say: Callable[[str], None]
    number: int = 0
    """The place on the stick, 0 for none."""
    open: Open | None = None
    is_lost: bool = False
    """The stick has stopped taking it: the rest is in memory."""

    @property
    def is_kept(self) -> bool:
        """Does what was appended outlive this Linux?"""
        return bool(self.number) and not self.is_lost

    def append(self, record: Record, brief: Record | None = None) -> None:
        """Keep a record; where there is no room brief in its place; where the stick does not take
        it, in memory: what is known stays known until the machine's end.
        """
        try:
            self.journal.append(record)
        except (PykexecError, OSError) as error:
            self.say(f"the stick does not take it: {describe(error)}")
            if brief is not None and self._try(brief):
                return
            self._move_to_memory(record)

    def save(self, report: bytes, page: bytes) -> str:
        """Write the report's files; where they are, "" if they could not be written."""
        if self.open is None or not self.number:
            return ""
        _, *paths = slot_paths(self.number)
        try:
            for path, data in zip(paths, (report, page), strict=True):
                area = self.open(path, True)
                area.write(0, data.ljust(area.size, b"\n"))
        except (PykexecError, OSError) as error:
            self.say(f"the report cannot be written: {describe(error)}")
            return ""
        return paths[0].rpartition("\\")[0]

    def _try(self, record: Record) -> bool:
        try:
            self.journal.append(record)
        except (PykexecError, OSError):
            return False
        return True

    def _move_to_memory(self, record: Record) -> None:
        """From now on nothing is kept beyond the machine's next reset."""
        self.is_lost = True
        records = [*self.journal.records, record]
        self.journal = Journal(MemoryArea(4 * JOURNAL_SIZE))
        for each in records:
            self.journal.append(each)


def open_stick(mailbox: Mailbox, info: FirmwareInfo) -> Open:
    """How files of the volume that the image came from are opened; FirmwareError if from none."""
    import errno

    from pykexec.certify.stick import Blocks, open_file
    from pykexec.firmware.info import read_info

    if not info.boot_volume:
        raise FirmwareError(errno.ENOENT, "the image came from no volume", "stick")
    blocks = Blocks(mailbox, info.boot_volume, lambda: read_info(mailbox).boot_volume)
    if blocks.info.read_only:
        raise FirmwareError(errno.EROFS, "is write-protected", "stick")
    return lambda path, anew: open_file(blocks, path, anew=anew)


def find_keeper(open_: Open, machine: str, say: Callable[[str], None]) -> Keeper:
    """The place of this machine's report that is not finished, else an empty one.

    FirmwareError (ENOSPC) where others' reports are in all of them.
    """
    import errno

    empty = None
    for number in range(1, SLOTS + 1):
        journal = Journal(open_(slot_paths(number)[0], False))
        keeper = Keeper(journal, say, number, open_)
        if not journal.records:
            empty = empty or keeper
        elif history.is_of(journal.records, machine) and not history.is_finished(journal.records):
            return keeper
    if empty is None:
        fault = f"has {SLOTS} reports already; keep them elsewhere, and make it anew"
        raise FirmwareError(errno.ENOSPC, fault, "stick")
    return empty
