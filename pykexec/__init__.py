# SPDX-License-Identifier: Apache-2.0
"""pykexec: Linux as a universal UEFI boot loader that can hand control back.

The names below are the API for boot agents; each is imported when it is first used.

    with pykexec.Mailbox() as mailbox:
        print(pykexec.read_info(mailbox).vendor)
        pykexec.exec_payload(mailbox, "\\\\EFI\\\\debian\\\\grubx64.efi")
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's, without importing typing: this runs at every start.
if TYPE_CHECKING:
    from pykexec.abi import Action as Action
    from pykexec.config.agent import AgentConfig as AgentConfig
    from pykexec.config.agent import parse_config as parse_config
    from pykexec.config.agent import resolve_config as resolve_config
    from pykexec.efi.device_path import DevicePath as DevicePath
    from pykexec.efi.guid import Guid as Guid
    from pykexec.errors import ConfigError as ConfigError
    from pykexec.errors import FirmwareError as FirmwareError
    from pykexec.errors import FormatError as FormatError
    from pykexec.errors import KexecError as KexecError
    from pykexec.errors import NotResidentError as NotResidentError
    from pykexec.errors import PykexecError as PykexecError
    from pykexec.errors import UsageError as UsageError
    from pykexec.firmware.devices import connect_all as connect_all
    from pykexec.firmware.devices import read_block_info as read_block_info
    from pykexec.firmware.devices import read_blocks as read_blocks
    from pykexec.firmware.devices import read_file as read_file
    from pykexec.firmware.devices import read_net_info as read_net_info
    from pykexec.firmware.devices import read_volume_info as read_volume_info
    from pykexec.firmware.handles import Handle as Handle
    from pykexec.firmware.handles import find_volume as find_volume
    from pykexec.firmware.handles import list_handles as list_handles
    from pykexec.firmware.handles import volume_labels as volume_labels
    from pykexec.firmware.handoff import Handoff as Handoff
    from pykexec.firmware.handoff import parse_handoff as parse_handoff
    from pykexec.firmware.handoff import read_handoff as read_handoff
    from pykexec.firmware.info import FirmwareInfo as FirmwareInfo
    from pykexec.firmware.info import read_info as read_info
    from pykexec.firmware.info import read_memory_map as read_memory_map
    from pykexec.firmware.info import read_tpm_info as read_tpm_info
    from pykexec.firmware.mailbox import Mailbox as Mailbox
    from pykexec.firmware.self_test import self_test as self_test
    from pykexec.firmware.snapshot import verify_firmware as verify_firmware
    from pykexec.kexec.boot_next import boot_next as boot_next
    from pykexec.kexec.execute import exec_payload as exec_payload
    from pykexec.kexec.leave import leave as leave
    from pykexec.memory import MemoryMap as MemoryMap
    from pykexec.memory import Range as Range

    __version__: str

# Module -> the names of it that are the API.
_HOMES = {
    "abi": ("Action",),
    "config.agent": ("AgentConfig", "parse_config", "resolve_config"),
    "efi.device_path": ("DevicePath",),
    "efi.guid": ("Guid",),
    "errors": (
        "ConfigError",
        "FirmwareError",
        "FormatError",
        "KexecError",
        "NotResidentError",
        "PykexecError",
        "UsageError",
    ),
    "firmware.devices": (
        "connect_all",
        "read_block_info",
        "read_blocks",
        "read_file",
        "read_net_info",
        "read_volume_info",
    ),
    "firmware.handles": ("Handle", "find_volume", "list_handles", "volume_labels"),
    "firmware.handoff": ("Handoff", "parse_handoff", "read_handoff"),
    "firmware.info": ("FirmwareInfo", "read_info", "read_memory_map", "read_tpm_info"),
    "firmware.mailbox": ("Mailbox",),
    "firmware.self_test": ("self_test",),
    "firmware.snapshot": ("verify_firmware",),
    "kexec.boot_next": ("boot_next",),
    "kexec.execute": ("exec_payload",),
    "kexec.leave": ("leave",),
    "memory": ("MemoryMap", "Range"),
}
_API = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from pykexec.about import version

        return version()
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_API[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
