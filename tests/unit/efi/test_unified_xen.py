# SPDX-License-Identifier: Apache-2.0
"""A launch is an image that takes nothing from elsewhere: what is not is named."""

from __future__ import annotations

import pytest

from pykexec.efi.unified_xen import UnifiedXen, check_unified, encode_config, parse_config
from pykexec.errors import FormatError
from pykexec.image.assemble import append_sections
from tests.support.launches import PARTS, launch_bytes, xen_bytes
from tests.unit.image.inputs import SBAT, TEXT, SectionInput, pe_bytes

CONFIG = encode_config(PARTS.options, PARTS.cmdline)
STUB = pe_bytes((TEXT,), headers_size=2048)


def with_sections(**contents: bytes) -> bytes:
    """An application with these sections and those of a launch that are not among them."""
    sections = {"config": CONFIG, "kernel": b"K", "ramdisk": b"R"} | contents
    return append_sections(STUB, "a.efi", {f".{n}": data for n, data in sections.items() if data})


def test_what_launch_build_makes_is_taken_and_tells_its_command_lines() -> None:
    found = check_unified(launch_bytes(), "xen.efi")
    assert found == UnifiedXen(PARTS.options, PARTS.cmdline)
    assert parse_config(encode_config("", "")) == UnifiedXen("", "")


def test_a_xen_that_is_not_unified_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^xen.efi: no section .config: not a unified xen.efi"):
        check_unified(xen_bytes(), "xen.efi")


@pytest.mark.parametrize("name", ["config", "kernel", "ramdisk"])
def test_what_xen_would_look_for_on_the_disk_is_named(name: str) -> None:
    with pytest.raises(FormatError, match=rf"^a.efi: no section .{name}:"):
        check_unified(with_sections(**{name: b""}), "a.efi")


@pytest.mark.parametrize(
    "config",
    [
        CONFIG + b"ramdisk=other.img\n",
        CONFIG.replace(b"[launch]", b"chain=other.cfg\n[launch]"),
        CONFIG + b"xsm=policy\n",
        CONFIG + b"ucode=ucode.bin\n",
        CONFIG + b"[other]\nkernel=other\n",
        CONFIG.removesuffix(b"\n"),
        CONFIG.replace(b"kernel=kernel", b"kernel=other"),
        CONFIG.replace(b"quiet", b"quiet\0"),
        CONFIG.replace(b"\n", b"\r\n"),
    ],
)
def test_a_configuration_that_names_more_is_refused(config: bytes) -> None:
    with pytest.raises(FormatError, match=r"^a.efi: section .config: not as `pykexec launch"):
        check_unified(with_sections(config=config), "a.efi")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("a # b", "has a '#'"),
        ("a -- init=/bin/sh", "has '--'"),
        ("--", "has '--'"),
        ("a  b", "has spaces that Xen would drop"),
        (" a", "has spaces"),
        ("a\nkernel=b", "must be printable ASCII"),
        ("ä", "must be printable ASCII"),
        ("a" * 1001, "1001 characters"),
    ],
)
def test_a_command_line_that_xen_reads_otherwise_is_refused(line: str, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^options: {fault}"):
        encode_config(line, "")
    with pytest.raises(FormatError, match=f"^cmdline: {fault}"):
        encode_config("", line)


@pytest.mark.parametrize("line", [b"a # b", b"a -- b", b"a  b"])
def test_such_a_line_in_the_image_is_refused_too(line: bytes) -> None:
    config = CONFIG.replace(b"console=com1", line)
    with pytest.raises(FormatError, match=r"^a.efi: section .config: a command line has"):
        check_unified(with_sections(config=config), "a.efi")


def test_a_second_section_of_a_name_is_refused() -> None:
    names = (".config", ".kernel", ".ramdisk", ".kernel")
    added = (SectionInput(name, 0x2000 + 0x1000 * n, b"x") for n, name in enumerate(names))
    data = pe_bytes((TEXT, *added), image_size=0x6000)
    with pytest.raises(FormatError, match=r"^a.efi: more than one section .kernel"):
        check_unified(data, "a.efi")


def test_a_section_that_the_file_has_not_all_of_is_refused() -> None:
    sections = (
        TEXT,
        SectionInput(".config", 0x2000, CONFIG),
        SectionInput(".kernel", 0x3000, b"K"),
        SectionInput(".ramdisk", 0x4000, b"R", virtual_size=4096),
    )
    with pytest.raises(FormatError, match=r"^a.efi: section .ramdisk: not all of it"):
        check_unified(pe_bytes(sections, image_size=0x5000), "a.efi")


def test_what_is_no_application_is_refused_first() -> None:
    with pytest.raises(FormatError, match="not an EFI application"):
        check_unified(pe_bytes((TEXT, SBAT), subsystem=11), "a.efi")
