# SPDX-License-Identifier: Apache-2.0
"""abi.py's part for devices and memory: window, network, bridged disks, RAM disks, console, RAM."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from pykexec._native import lib


class WindowConstant(IntEnum):
    """enum pk_window_constants: sizes and offsets in bytes."""

    MAGIC = lib.PK_WINDOW_MAGIC
    VERSION = lib.PK_WINDOW_VERSION
    SIZE = lib.PK_WINDOW_SIZE
    SIZE_MAX = lib.PK_WINDOW_SIZE_MAX
    ALIGNMENT = lib.PK_WINDOW_ALIGNMENT
    CHANNELS = lib.PK_WINDOW_CHANNELS
    DATA = lib.PK_WINDOW_DATA
    DEPTH = lib.PK_CHANNEL_DEPTH


class WindowUse(IntEnum):
    """enum pk_window_use: what Linux does with the window."""

    SET_ASIDE = lib.PK_WINDOW_SET_ASIDE
    IS_MEMORY = lib.PK_WINDOW_IS_MEMORY


class NetConstant(IntEnum):
    """enum pk_net_constants: sizes and offsets in bytes, slots in frames."""

    SLOTS = lib.PK_NET_SLOTS
    SLOT_SIZE = lib.PK_NET_SLOT_SIZE
    FRAMES = lib.PK_NET_FRAMES
    EXCHANGE_SIZE = lib.PK_NET_EXCHANGE_SIZE


class PxeFlag(IntFlag):
    """enum pk_pxe_flags."""

    STARTED = lib.PK_PXE_STARTED
    IPV6 = lib.PK_PXE_IPV6
    DHCP_ACK = lib.PK_PXE_DHCP_ACK
    PROXY_OFFER = lib.PK_PXE_PROXY_OFFER
    REPLY = lib.PK_PXE_REPLY


class UblkState(IntEnum):
    """enum pk_ublk_state."""

    DEAD = lib.PK_UBLK_DEAD
    LIVE = lib.PK_UBLK_LIVE
    QUIESCED = lib.PK_UBLK_QUIESCED


class NbdEnd(IntEnum):
    """enum pk_nbd_end: why pk_nbd_serve() came back."""

    STOPPED = lib.PK_NBD_STOPPED
    DROPPED = lib.PK_NBD_DROPPED


class RamdiskFlag(IntFlag):
    """enum pk_ramdisk_flags."""

    PERSIST = lib.PK_RAMDISK_PERSIST
    REGISTERED = lib.PK_RAMDISK_REGISTERED
    BLOCK = lib.PK_RAMDISK_BLOCK
    REMOVABLE = lib.PK_RAMDISK_REMOVABLE


class TpmEventConstant(IntEnum):
    """enum pk_tpm_event_constants: bytes of event data, PCRs that take events of Linux, tags of
    events in PCR 5.
    """

    MAX = lib.PK_TPM_EVENT_MAX
    PCR_CONFIG = lib.PK_TPM_EVENT_PCR_CONFIG
    PCR_RELEASE = lib.PK_TPM_EVENT_PCR_RELEASE
    TAG_SECTIONS = lib.PK_TPM_EVENT_TAG_SECTIONS
    TAG_CONFIG = lib.PK_TPM_EVENT_TAG_CONFIG


class ConsoleFlag(IntFlag):
    """enum pk_console_flags: which parts of a console the firmware has."""

    KEYS = lib.PK_CONSOLE_KEYS
    MODIFIERS = lib.PK_CONSOLE_MODIFIERS
    TEXT = lib.PK_CONSOLE_TEXT
    SCREEN = lib.PK_CONSOLE_SCREEN


class ConsoleLimit(IntEnum):
    """enum pk_console_limits: keys in an answer, milliseconds, dots and pixels each way."""

    KEYS_MAX = lib.PK_KEYS_MAX
    KEYS_WAIT_MAX_MS = lib.PK_KEYS_WAIT_MAX_MS
    BITMAP_MAX = lib.PK_BITMAP_MAX
    BITMAP_SCALE_MAX = lib.PK_BITMAP_SCALE_MAX


class TextFlag(IntFlag):
    """enum pk_text_flags: what is done before a text is shown, in this order."""

    CLEAR = lib.PK_TEXT_CLEAR
    PLACE = lib.PK_TEXT_PLACE
    COLOUR = lib.PK_TEXT_COLOUR
    CURSOR_SHOWN = lib.PK_TEXT_CURSOR_SHOWN
    CURSOR_HIDDEN = lib.PK_TEXT_CURSOR_HIDDEN


class RamAction(IntEnum):
    """enum pk_ram_action."""

    REMEMBER = lib.PK_RAM_REMEMBER
    COMPARE = lib.PK_RAM_COMPARE


class RamKind(IntFlag):
    """enum pk_ram_kinds."""

    RUNTIME = lib.PK_RAM_RUNTIME
    ACPI = lib.PK_RAM_ACPI
    RESERVED = lib.PK_RAM_RESERVED
