# SPDX-License-Identifier: Apache-2.0
"""Kernel modules that the image ships: some loaded by PID 1, others when something asks.

MODULES_PATH lists them, "boot|demand <name> <path> ...": the paths in load order, none for what is
built into the kernel.
"""

from __future__ import annotations

import errno
import os

from pykexec._native import lib
from pykexec.config.agent import MODULES_PATH


def load_at_boot(listing: str = MODULES_PATH) -> list[str]:
    """Load what is marked so; what went wrong, a line a module."""
    faults = []
    for when, _, paths in _read(listing):
        if when == "boot":
            faults += _load(paths)
    return faults


def load_all(listing: str = MODULES_PATH) -> list[str]:
    """Load everything, asked for or not; what went wrong."""
    return [fault for _, _, paths in _read(listing) for fault in _load(paths)]


def load(name: str, listing: str = MODULES_PATH) -> list[str]:
    """Load the module and what it depends on; what went wrong. Loaded already is no fault.

    Where there is no listing (not our initramfs) modprobe is somebody else's business, and done.
    """
    if not os.path.exists(listing):
        return []
    for _, listed, paths in _read(listing):
        if listed == name:
            return _load(paths)
    return [f"{name}: this image has no such kernel module"]


def _read(listing: str) -> list[tuple[str, str, list[str]]]:
    try:
        with open(listing, encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        return []
    return [(when, name, paths) for when, name, *paths in lines]


def _load(paths: list[str]) -> list[str]:
    faults = []
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
            continue
        result = lib.pk_finit_module(fd, b"", 0)
        os.close(fd)
        if result not in (0, -errno.EEXIST) and not _is_loaded(path):
            faults.append(f"{path}: {os.strerror(-result)}")
    return faults


def _is_loaded(path: str) -> bool:
    """Where no module may be loaded any more the kernel does not say that this one is there."""
    return os.path.isdir(f"/sys/module/{os.path.basename(path).removesuffix('.ko')}")
