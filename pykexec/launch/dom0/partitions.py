# SPDX-License-Identifier: Apache-2.0
"""Partitions by their GUID, without udev: by the partition table of each disk that there is."""

from __future__ import annotations

import os
from pathlib import Path

from pykexec.disk import reader
from pykexec.disk.gpt import read_gpt
from pykexec.errors import FormatError
from pykexec.launch.dom0.command_lines import LaunchError

_SECTOR = 512  # of sysfs, whatever the disk's own blocks are


def find_partition(guid: str, blocks: Path = Path("/sys/class/block"), dev: str = "/dev") -> str:
    """Its device; LaunchError unless there is just one such partition."""
    found = []
    for disk in sorted(blocks.iterdir()):
        if (disk / "partition").exists():
            continue
        for number in _numbers(disk, guid, dev):
            for part in sorted(disk.iterdir()):
                own = part / "partition"
                if own.is_file() and own.read_text().strip() == str(number):
                    found.append(os.path.join(dev, part.name))
    if len(found) != 1:
        raise LaunchError(
            f"partition {guid}: there {'are' if found else 'is'} {len(found) or 'none'}"
        )
    return found[0]


def _numbers(disk: Path, guid: str, dev: str) -> list[int]:
    """Of the partitions of this GUID; none of what cannot be read, or has no table."""
    try:
        nr_sectors = int((disk / "size").read_text())
        block_size = int((disk / "queue/logical_block_size").read_text())
        fd = os.open(os.path.join(dev, disk.name), os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return []
    try:
        table = read_gpt(reader(fd), block_size, nr_sectors * _SECTOR // block_size)
    except (OSError, FormatError):
        return []
    finally:
        os.close(fd)
    return [each.number for each in table.partitions if str(each.guid) == guid] if table else []
