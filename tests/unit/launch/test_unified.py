# SPDX-License-Identifier: Apache-2.0
"""Xen's unified image as we write it, and as other programs read it."""

from __future__ import annotations

from dataclasses import replace

import pefile
import pytest

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.image.assemble import append_sections
from pykexec.image.resection import make_room
from pykexec.launch.unified import XEN_SIZE, unify, version
from pykexec.vm import packages
from tests.support.launches import PARTS, xen_bytes
from tests.unit.image.inputs import pe_bytes

ALL = replace(PARTS, ucode=b"microcode", xsm=b"policy")
XEN = xen_bytes()


def test_every_part_is_whole_in_a_section_of_its_own() -> None:
    data = unify(XEN, "xen.efi", ALL)
    found = {each.name: pe.section_data(data, each) for each in pe.parse(data, "x").sections}
    assert found[".kernel"] == PARTS.kernel
    assert found[".ramdisk"] == PARTS.ramdisk
    assert (found[".ucode"], found[".xsm"]) == (b"microcode", b"policy")
    assert found[".config"].decode().splitlines() == [
        "[global]",
        "default=launch",
        "[launch]",
        f"options={PARTS.options}",
        f"kernel=kernel {PARTS.cmdline}",
    ]
    assert (
        found[".sbat"].decode().splitlines()[1].startswith("xen,1,The Linux Foundation,Xen,4.17.5,")
    )


def test_equal_parts_make_equal_bytes_and_every_byte_counts() -> None:
    data = unify(XEN, "xen.efi", ALL)
    assert data == unify(XEN, "xen.efi", ALL)
    changed = [
        replace(ALL, options="x"),
        replace(ALL, cmdline="x"),
        replace(ALL, kernel=b"x"),
        replace(ALL, ramdisk=b"x"),
        replace(ALL, ucode=b"x"),
        replace(ALL, xsm=b"x"),
    ]
    images = [data, *(unify(XEN, "xen.efi", each) for each in changed)]
    digests = {pe.authenticode_digest(each, pe.parse(each, "x")) for each in images}
    assert len(digests) == len(images)


def test_what_a_xen_says_to_shim_stays() -> None:
    own = append_sections(make_room(XEN, "x", 1), "x", {".sbat": b"sbat,2,its own\n"})
    data = unify(own, "x", PARTS)
    section = pe.parse(data, "x").section(".sbat")
    assert section and pe.section_data(data, section) == b"sbat,2,its own\n"


def test_what_does_not_say_that_it_is_xen_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^a.efi: not a xen.efi"):
        unify(pe_bytes(), "a.efi", PARTS)


@pytest.mark.parametrize("name", packages.XENS)
def test_debian_s_xen_is_left_as_it_is_and_what_comes_after_it_lies_as_xen_wants(
    name: str,
) -> None:
    xen = (packages.fetch(packages.XENS[name]) / f"boot/xen-{name}-amd64.efi").read_bytes()
    assert version(xen, name).startswith(name)
    data = unify(xen, name, ALL)
    before, after = pe.parse(xen, name), pe.parse(data, "unified")
    old = {each.address: pe.section_data(xen, each) for each in before.sections}
    kept = [each for each in after.sections if each.address < XEN_SIZE]
    assert {each.address for each in kept if each.characteristics & 0x20000000}
    debug_pointer = 24  # The debug directory's: that moves.
    for each in kept:
        content = pe.section_data(data, each)
        if each.name == ".buildid":
            assert content[:debug_pointer] == old[each.address][:debug_pointer]
        else:
            assert content == old[each.address]
    added = [each for each in after.sections if each.address >= XEN_SIZE]
    assert [each.name for each in added] == [".sbat", ".config", ".ucode", ".xsm", ".kernel",
                                             ".ramdisk"]  # fmt: skip
    assert not any(each.address % before.section_alignment for each in added)
    assert pefile.PE(data=data, fast_load=True).verify_checksum()
    assert len(data) < 4 << 20  # Debug information is 26 MiB of Debian 13's.
