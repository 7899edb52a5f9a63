# SPDX-License-Identifier: Apache-2.0
"""What leads from root's Linux to the firmware below it; prints what became of each attempt.

"done", or the name of the error. What a kernel has not is ENOENT.
"""

import errno
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable

from pykexec._native import ffi, lib
from pykexec.abi import Op
from pykexec.efi.device_path import DevicePath
from pykexec.efi.efivarfs import EFIVARFS
from pykexec.firmware.devices import read_file
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import pack
from pykexec.kexec.load import RESUME_IMAGE
from pykexec.kexec.request import boot_volume

KERNEL, MODULE, FIRMWARE_VOLUME, HIDDEN = sys.argv[1:]
# Whole memory for a kernel that is not confined: what it takes for RAM is the firmware's.
MEMORY_MAP = b"memmap=exactmap memmap=640K@0 memmap=512M@1M"
FILE_MAX = 64 << 20
SYSCTL = "/proc/sys/kernel"

mailbox = Mailbox()
info = read_info(mailbox)
FIRMWARE_FILE = bytes(DevicePath.from_text(FIRMWARE_VOLUME))
# What follows the path of a real volume: an offset range, and the end node (UEFI 2.10, 10.3.5.8).
_TAIL = struct.pack("<BBHIQQ", 4, 8, 24, 0, 0, 512) + struct.pack("<BBH", 0x7F, 0xFF, 4)
VOLUME = boot_volume(mailbox).path
assert VOLUME
OPTION_ROM = b"".join(map(bytes, VOLUME.nodes)) + _TAIL


def file_of(path: str) -> int:
    """A memory file with what is in a file of the image's volume."""
    fd = os.memfd_create("file", os.MFD_CLOEXEC)
    os.write(fd, read_file(mailbox, info.boot_volume, path, FILE_MAX))
    return fd


def check(result: int) -> None:
    """OSError for what the kernel answered with."""
    if result:
        raise OSError(-result, os.strerror(-result))


def kexec_file(fd: int, flags: int = 0) -> None:
    """Load what fd has as a kernel, with parameters of our own; unload it again."""
    flags |= lib.KEXEC_FILE_NO_INITRAMFS
    check(lib.pk_kexec_file_load(fd, -1, MEMORY_MAP, flags))
    lib.pk_kexec_file_load(-1, -1, b"", flags | lib.KEXEC_FILE_UNLOAD)


def module(fd: int) -> None:
    """Load a kernel module."""
    check(lib.pk_finit_module(fd, b"", 0))


def unsigned_module() -> None:
    """The same one, without what follows the code: its signature."""
    fd = file_of(MODULE)
    os.truncate(fd, os.fstat(fd).st_size - 28)
    module(fd)


def write(path: str, text: str) -> None:
    """Write to a file that must be there already."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def system_call(name: str) -> None:
    """Have inside/door.c try it."""
    answer = subprocess.run(
        ["/inside/door", name], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    if answer != "done":
        raise OSError(int(answer), name)


def stage_from(path: bytes) -> None:
    """Say that unsigned code comes from there."""
    head = pack("pk_payload_request", token=1, device_path_size=len(path), payload_size=1)
    mailbox.ask(Request(Op.PAYLOAD_STAGE, "stage", head + path))


def read(path: str) -> None:
    """Read something of a file."""
    with open(path, "rb", buffering=0) as file:
        file.read(8)


ATTEMPTS: dict[str, Callable[[], None]] = {
    "kexec of a signed kernel with a memory map": lambda: kexec_file(file_of(KERNEL)),
    "the same as crash kernel": lambda: kexec_file(file_of(KERNEL), lib.KEXEC_FILE_ON_CRASH),
    "kexec of what nobody signed": lambda: kexec_file(os.open(RESUME_IMAGE, os.O_RDONLY)),
    "kexec without a file": lambda: check(lib.pk_kexec_load(0, 0, ffi.NULL, 0)),
    "kexec opened again": lambda: write(f"{SYSCTL}/kexec_load_disabled", "0"),
    "module of the distribution": lambda: module(file_of(MODULE)),
    "module that nobody signed": unsigned_module,
    "modules opened again": lambda: write(f"{SYSCTL}/modules_disabled", "0"),
    "payload from the firmware's volume": lambda: stage_from(FIRMWARE_FILE),
    "payload from an option ROM": lambda: stage_from(OPTION_ROM),
    "variable of boot services": lambda: read(f"{EFIVARFS}/{HIDDEN}"),
    "command line": lambda: write("/proc/cmdline", "memmap=1M@0"),
    "ports": lambda: system_call("ports"),
    "physical memory": lambda: read("/dev/mem"),
    "BPF that writes": lambda: system_call("bpf"),
    "hibernation": lambda: write("/sys/power/disk", "shutdown"),
    "sleep by the firmware": lambda: write("/sys/power/mem_sleep", "deep"),
    "microcode": lambda: write("/sys/devices/system/cpu/microcode/reload", "1"),
    "ACPI table": lambda: os.mkdir("/sys/kernel/config/acpi/table/ours"),
    "ACPI method": lambda: write("/sys/kernel/debug/acpi/custom_method", "x"),
    "processor trace": lambda: read("/sys/bus/event_source/devices/intel_pt/type"),
}

lib.pk_mount(b"debugfs", b"/sys/kernel/debug", b"debugfs", 0, ffi.NULL)
lib.pk_mount(b"configfs", b"/sys/kernel/config", b"configfs", 0, ffi.NULL)
results = {}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        results[name] = "done"
    except OSError as error:
        results[name] = errno.errorcode[error.errno or errno.EIO]
print(json.dumps(results))
