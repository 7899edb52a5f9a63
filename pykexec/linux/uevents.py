# SPDX-License-Identifier: Apache-2.0
"""What the kernel says when its devices come, go or change, without udev."""

from __future__ import annotations

import socket

_NETLINK_KOBJECT_UEVENT, _GROUP_KERNEL = 15, 1  # linux/netlink.h; libudev's name for the group
_SIZE_MAX = 8192


def open_uevents() -> socket.socket:
    """A socket that becomes readable with each of the kernel's events from now on."""
    uevents = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_KOBJECT_UEVENT
    )
    try:
        uevents.bind((0, _GROUP_KERNEL))
    except BaseException:
        uevents.close()
        raise
    return uevents


def next_concerns(uevents: socket.socket, *names: str) -> bool:
    """Is the next event, which is there already, about block devices with one of these names?"""
    try:
        event = uevents.recv(_SIZE_MAX)
    except OSError:
        return True  # More came than there was room for.
    return b"\0SUBSYSTEM=block\0" in event and any(name.encode() in event for name in names)
