# SPDX-License-Identifier: Apache-2.0
"""Inputs of sequence.c: what Linux does, step by step, and what its firmware does meanwhile."""

from __future__ import annotations

_PLAN, _MESSAGE, _POST, _BELL, _QUERY, _NATIVE, _VARIABLE, _NEXT_LINUX, _CLAIM = range(9)
"""enum step of sequence.c; the bytes behind each are what it takes."""
_HANDLES, _INFO, _READ, _REFRESH, _NET_OPEN, _CREATE, _REGISTER, _REMOVE = 0, 1, 2, 3, 7, 11, 12, 13
_DATA, _KEYS, _TEXT, _DRAW = 20, 22, 23, 24
"""Indices in its mailbox_ops."""
_UNPLUG, _SWAP, _MEDIUM, _STICK = 2, 3, 4, 5
"""enum world_action."""
_OPEN = (_CLAIM, 0)
_LIST = (_MESSAGE, 0, _HANDLES)
_READ_FIRST = (_MESSAGE, 0, _READ, 0, 1)
_POST_FIRST = (_POST, 0, 0, 0, 1)
_OWN = (_MESSAGE, 2, _CREATE, 1, _DATA, 1, _REGISTER, 1)
"""A disk that the stub itself serves, with something on it."""

SEQUENCES = {
    "a disk is read and removed in one message, and then read by the window": bytes(
        [
            *_OPEN,
            *(_MESSAGE, 1, _CREATE, 0, _REGISTER, 1),  # The first that is known is the RAM disk.
            *(_MESSAGE, 0, _INFO, 0),
            *(_MESSAGE, 1, _READ, 0, 1, _REMOVE, 1),
            *(_POST, 0, 0, 0, 1, _BELL),
        ]
    ),
    "another disk comes in the place of one that was read": bytes(
        [*_LIST, *_READ_FIRST, _PLAN, 0, _SWAP, 0, _VARIABLE, *_READ_FIRST]
    ),
    "a variable is written between two bells": bytes(
        [*_OPEN, *_LIST, _QUERY, *_POST_FIRST, _QUERY, _VARIABLE, *_POST_FIRST, _QUERY]
    ),
    "a NIC is pulled out while its frames are exchanged": bytes(
        [
            *_OPEN,
            *_LIST,
            *(_MESSAGE, 0, _NET_OPEN, 6, _POST, 0, 4, 6, 0),
            *(_PLAN, 15, _UNPLUG, 6, _BELL, _BELL),
        ]
    ),
    "a bell rings in a window that may be memory": bytes([*_LIST, *_POST_FIRST, _BELL]),
    "a RAID controller is read, which is on PCI as virtio is": bytes(
        [*_OPEN, *_LIST, _POST, 0, 0, 4, 1, _BELL]
    ),
    "a driver does not let go of a disk that the stub serves": bytes(
        [*_OWN, _PLAN, 0, _STICK, 7, _VARIABLE, _NEXT_LINUX]
    ),
    # As it was found.
    "a disk that the stub serves, and nobody may write to, is written to": bytes.fromhex(
        "0105 0b01 1401 0c01 0201 0a00 0200 0201 0103 0000 0100 2b6e"
    ),
    "dots are drawn across the edge of the screen": bytes(
        [_MESSAGE, 0, _DRAW, 60, 0, 0, 0, 0, 8, 8, 1, 0]
    ),
    "a driver does not let go of a RAM disk": bytes(
        [
            *(_MESSAGE, 2, _CREATE, 0, _DATA, 1, _REGISTER, 1),
            *(_PLAN, 0, _STICK, 7, _VARIABLE),  # Behind the disks and NICs that there are.
        ]
    ),
}
"""What the driver must survive, and a stub without the protection does not."""

LIVES = [
    # A disk that the stub serves itself is read, and removed in the same message.
    bytes(
        [
            *_OPEN,
            *_OWN,
            *(_MESSAGE, 0, _INFO, 0),
            *(_MESSAGE, 2, _READ, 0, 0, _REMOVE, 1, _READ, 0, 0),
            *(_POST, 0, 0, 0, 0, _BELL),
        ]
    ),
    # Another medium while the drive is read, and its partition with it.
    bytes(
        [
            *_OPEN,
            *_LIST,
            *(_POST, 0, 0, 1, 1, _BELL, _PLAN, 0, _MEDIUM, 1, _POST, 0, 0, 1, 1, _BELL),
            *(_POST, 0, 0, 2, 1, _BELL),
            *_LIST,
        ]
    ),
    # A NIC that Linux has stays, another one goes.
    bytes(
        [
            *_OPEN,
            *_LIST,
            *(_MESSAGE, 0, _NET_OPEN, 5, _POST, 0, 4, 5, 0, _BELL, _POST, 0, 4, 5, 0, _QUERY),
            *(_PLAN, 9, _UNPLUG, 5, _MESSAGE, 0, _NET_OPEN, 6, _POST, 0, 4, 5, 0, _BELL),
            _NEXT_LINUX,
        ]
    ),
    # What was written to is connected anew, by the kernel's own calls too.
    bytes(
        [
            *_OPEN,
            *_LIST,
            *(_POST, 0, 2, 1, 1, _BELL, _MESSAGE, 0, _REFRESH),
            *(_NATIVE, 1, 0, 0, 1, 2, 3, 1, _NEXT_LINUX),
            *_LIST,
        ]
    ),
    # Somebody types, reads what is said, and sees dots in the middle of the screen.
    bytes(
        [
            *(_MESSAGE, 3, _KEYS, 3, _TEXT, 2, 31, 9, 9, 7, 65, 0),
            *(_DRAW, 9, 9, 0, 0, 0, 8, 8, 2, 0),
            *(_KEYS, 0),
        ]
    ),
]
"""What else there is to start from."""
