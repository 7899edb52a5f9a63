# SPDX-License-Identifier: Apache-2.0
"""Images that cannot work: one clear line, and the boot order goes on."""

from __future__ import annotations

import struct
from pathlib import Path

from pykexec.efi import pe
from pykexec.image import assemble
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, disk_with, with_entries
from tests.vm.images import image, sections, stub, tables

NOT_FOUND = 0x800000000000000E
LOAD_ERROR = 0x8000000000000001
BAD_BUFFER_SIZE = 0x8000000000000004
OUT_OF_RESOURCES = 0x8000000000000009
ABORTED = 0x8000000000000015


def _image_of(**changes: bytes | None) -> bytes:
    """The usual image with sections replaced, or left out (None)."""
    parts: dict[str, bytes | None] = dict(sections(image()))
    parts.update({f".{name}": data for name, data in changes.items()})
    present = {name: data for name, data in parts.items() if data is not None}
    return assemble.append_sections(stub().read_bytes(), "stub", present)


def _data_onto_code(kernel: bytes) -> bytes:
    """A kernel whose .data is loaded where its .text is."""
    parsed = pe.parse(kernel, "kernel")
    number = [section.name for section in parsed.sections].index(".data")
    at = parsed.section_table + number * pe.SECTION_HEADER_SIZE + 12
    text = parsed.section(".text")
    assert text
    return kernel[:at] + struct.pack("<I", text.address) + kernel[at + 4 :]


def _bigger(kernel: bytes, size: int) -> bytes:
    """A kernel that says that its image takes size bytes."""
    at = pe.parse(kernel, "kernel").optional_offset + 56
    return kernel[:at] + struct.pack("<I", size) + kernel[at + 4 :]


def test_image_that_cannot_start_linux_says_why_and_gives_way(boot: Boot, tmp_path: Path) -> None:
    kernel = sections(image())[".linux"]
    no_program = r"pykexec: \.linux is not an EFI application \(fault \d+\)"
    # Name: contents, line on the console, stage that fails, its status.
    images: dict[str, tuple[bytes, str, str, int]] = {
        "bare": (stub().read_bytes(), r"pykexec: .* no \.linux section", "sections", NOT_FOUND),
        "no-initrd": (
            _image_of(initrd=None), r"pykexec: .* no \.initrd section", "sections", NOT_FOUND
        ),
        "text": (_image_of(linux=b"no kernel\n" * 99), no_program, "kernel", LOAD_ERROR),
        "short": (_image_of(linux=kernel[: len(kernel) // 2]), no_program, "kernel", LOAD_ERROR),
        "overlap": (
            _image_of(linux=_data_onto_code(kernel)), no_program, "kernel", LOAD_ERROR
        ),
        "huge": (
            _image_of(linux=_bigger(kernel, 1 << 30)),
            r"pykexec: the kernel's 1048576 KiB do not fit in the arena",
            "kernel",
            OUT_OF_RESOURCES,
        ),
        "long": (
            _image_of(cmdline=b"x" * 5000), r"pykexec: \.cmdline is too long", "kernel",
            BAD_BUFFER_SIZE,
        ),
    }  # fmt: skip
    files = {f"EFI/{name}.efi": data for name, (data, *_) in images.items()}
    files["EFI/tables.efi"] = _image_of(linux=tables().read_bytes())
    disk = disk_with(tmp_path, image(), files)
    entries = [boot_entry(disk, rf"\EFI\{name}.efi", title=name) for name in (*images, "tables")]
    entries.append(boot_entry(disk, HELLO_PATH, "after all of them"))
    vm = boot(with_entries(Machine(firmware("2025.02")), tmp_path, disk, entries))

    for _, line, stage, status in images.values():
        vm.expect_stage("stub", "start")
        vm.expect(f"^{line}")
        vm.expect_stage("stub", stage, status)
        vm.expect("^pykexec: cannot start Linux .*, back to the firmware$")
        vm.expect("PK:stub:action:0x2$")
    # This one is started as Linux is, and comes back.
    vm.expect("PK:payload:sealed:0xf")
    vm.expect_stage("stub", "linux", ABORTED)
    vm.expect("PK:stub:action:0x2$")
    Guest(vm).payload_ran("after all of them")


def test_truncated_image_is_refused_by_the_firmware(boot: Boot, tmp_path: Path) -> None:
    whole = image().read_bytes()
    disk = disk_with(tmp_path, image(), {"EFI/cut.efi": whole[: len(whole) // 2]})
    entries = [boot_entry(disk, r"\EFI\cut.efi"), boot_entry(disk, HELLO_PATH, "whole")]
    vm = boot(with_entries(Machine(firmware("2022.11")), tmp_path, disk, entries))
    Guest(vm).payload_ran("whole")
    assert "PK:stub:start" not in vm.console.text
