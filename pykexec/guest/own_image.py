# SPDX-License-Identifier: Apache-2.0
"""What the agent does for the life of its own image: it notes how a trial goes, and says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import print_marker

if TYPE_CHECKING:
    from pykexec.install.slots import Slots


def begin(mailbox: Mailbox, info: FirmwareInfo) -> None:
    """The agent is up: a trial is, too, or it has failed. Nothing where nothing is installed."""
    from pykexec.install.nvram import Nvram, read_slots

    nvram = Nvram()
    slots = read_slots(nvram)
    if slots is None:
        return
    from pykexec.firmware.last_end import read_last_end
    from pykexec.install import trial

    here = slot_booted(mailbox, info, slots)
    last = "" if here and trial.running_trial(slots, here) else str(read_last_end() or "")
    new = trial.begin(nvram, slots, here, last)
    if tried := trial.running_trial(new, here):
        print(f"on trial: {tried}", flush=True)
        print_marker("install", "trial")
    elif new.failed and not slots.failed:
        print(f"update given up: {new.failed}: {new.reason}", flush=True)
        print_marker("install", "failed")


def succeed(mailbox: Mailbox) -> None:
    """All that a payload's start needs has gone well: a trial is over, and the image promoted."""
    from pykexec.install.nvram import Nvram, read_slots

    nvram = Nvram()
    slots = read_slots(nvram)
    if slots is None or slots.trial is None:
        return
    from pykexec.install import trial

    here = _here(mailbox, slots)
    tried = trial.running_trial(slots, here)
    if tried:
        trial.succeed(nvram, slots, here)
        print(f"promoted: {tried}", flush=True)
        print_marker("install", "promoted")


def facts(mailbox: Mailbox) -> Mapping[str, str]:
    """What the server is told of it; {} where nothing is installed."""
    from pykexec.install.nvram import Nvram, read_slots

    slots = read_slots(Nvram())
    if slots is None:
        return {}
    from pykexec.install import trial

    return trial.facts(slots, _here(mailbox, slots))


def told() -> None:
    """The server has heard it."""
    from pykexec.install import trial
    from pykexec.install.nvram import Nvram

    trial.told(Nvram())


def slot_booted(mailbox: Mailbox, info: FirmwareInfo, slots: Slots) -> str:
    """Which slot this image came from, "" for anywhere else."""
    from pykexec.firmware.handles import list_handles
    from pykexec.install.slots import slot_of

    slot = slot_of(info.image_path)
    if not slot or not info.boot_volume:
        return ""
    for volume in list_handles(mailbox, "simple_file_system"):
        if volume.number == info.boot_volume and volume.path:
            return slot if volume.path.partition_guid == slots.partition else ""
    return ""


def _here(mailbox: Mailbox, slots: Slots) -> str:
    from pykexec.firmware.info import read_info

    return slot_booted(mailbox, read_info(mailbox), slots)
