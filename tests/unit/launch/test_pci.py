# SPDX-License-Identifier: Apache-2.0
"""Which PCI functions go together, by configuration space alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.launch.dom0.pci import (
    DOWNSTREAM,
    ROOT_PORT,
    Function,
    check_devices,
    decode,
    group,
    read_topology,
)

ENDPOINT, UPSTREAM, TO_PCI, PLAIN = 0, 5, 7, -1
WHOLE = 0b11101


def function(
    address: str, parent: str = "", kind: int = ENDPOINT, acs: bool = False, bridge: bool = False
) -> Function:
    return Function(address, parent, kind, bridge or kind in (4, 5, 6, 7), acs)


def port(address: str, acs: bool, parent: str = "", kind: int = ROOT_PORT) -> Function:
    return function(address, parent, kind, acs)


def machine(*functions: Function) -> dict[str, Function]:
    return {each.address: each for each in functions}


def test_a_function_alone_in_its_slot_is_alone() -> None:
    found = machine(function("0000:00:02.0"), function("0000:00:03.0"))
    assert group(found, "0000:00:02.0") == {"0000:00:02.0"}


def test_functions_of_a_device_go_together_but_for_those_that_keep_apart() -> None:
    first, second = function("0000:00:02.0"), function("0000:00:02.1")
    apart = function("0000:00:02.2", acs=True)
    found = machine(first, second, apart)
    assert group(found, "0000:00:02.0") == {"0000:00:02.0", "0000:00:02.1"}
    assert group(found, "0000:00:02.2") == {"0000:00:02.2"}


@pytest.mark.parametrize("acs", [True, False])
def test_ports_of_one_device_keep_apart_what_is_below_them_if_they_can(acs: bool) -> None:
    found = machine(
        port("0000:00:1c.0", acs), port("0000:00:1c.1", acs),
        function("0000:01:00.0", "0000:00:1c.0"), function("0000:02:00.0", "0000:00:1c.1"),
    )  # fmt: skip
    both = {"0000:01:00.0", "0000:02:00.0"}
    assert group(found, "0000:01:00.0") == ({"0000:01:00.0"} if acs else both)


@pytest.mark.parametrize("acs", [True, False])
def test_what_is_below_a_switch_goes_together_unless_its_ports_keep_apart(acs: bool) -> None:
    found = machine(
        port("0000:00:01.0", True), port("0000:01:00.0", False, "0000:00:01.0", UPSTREAM),
        port("0000:02:00.0", acs, "0000:01:00.0", DOWNSTREAM),
        port("0000:02:01.0", acs, "0000:01:00.0", DOWNSTREAM),
        function("0000:03:00.0", "0000:02:00.0"), function("0000:04:00.0", "0000:02:01.0"),
    )  # fmt: skip
    both = {"0000:03:00.0", "0000:04:00.0"}
    assert group(found, "0000:03:00.0") == ({"0000:03:00.0"} if acs else both)


def test_what_is_on_a_conventional_bus_goes_together() -> None:
    found = machine(
        port("0000:00:1e.0", True), function("0000:01:00.0", "0000:00:1e.0", TO_PCI),
        function("0000:02:00.0", "0000:01:00.0", PLAIN),
        function("0000:02:01.0", "0000:01:00.0", PLAIN),
    )  # fmt: skip
    assert group(found, "0000:02:00.0") == {"0000:02:00.0", "0000:02:01.0"}


def test_devices_that_cannot_go_are_named() -> None:
    found = machine(function("0000:00:02.0"), function("0000:00:02.1"), port("0000:00:01.0", True))
    check_devices(found, ["0000:00:02.0", "0000:00:02.1"])
    with pytest.raises(FormatError, match=r"02.0: cannot be told apart from 0000:00:02.1: all or"):
        check_devices(found, ["0000:00:02.0"])
    with pytest.raises(FormatError, match=r"0000:00:01.0: is a bridge"):
        check_devices(found, ["0000:00:01.0"])
    with pytest.raises(FormatError, match=r"0000:00:09.0: this machine has no such PCI function"):
        check_devices(found, ["0000:00:09.0"])


def space(*, header: int = 0, kind: int | None = 0, acs: tuple[int, int] | None = None) -> bytes:
    """Configuration space with an Express capability, and an extended one behind another."""
    data = bytearray(4096)
    data[0x0E] = header
    if kind is not None:
        data[0x06], data[0x34] = 0x10, 0x40
        data[0x40:0x42] = bytes([0x01, 0x50])  # power management first
        struct.pack_into("<BBH", data, 0x50, 0x10, 0, kind << 4 | 2)
    if acs:
        struct.pack_into("<I", data, 0x100, 0x148 << 20 | 1 << 16 | 0x0001)
        struct.pack_into("<IHH", data, 0x148, 1 << 16 | 0x000D, *acs)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "kind", "is_bridge", "acs"),
    [
        (space(), ENDPOINT, False, False),
        (space(kind=None), PLAIN, False, False),
        (space(header=0x81, kind=4), ROOT_PORT, True, False),
        (space(header=1, kind=6, acs=(WHOLE, WHOLE)), DOWNSTREAM, True, True),
        (space(acs=(WHOLE, WHOLE & ~4)), ENDPOINT, False, False),
        (space(acs=(WHOLE | 0x42, WHOLE)), ENDPOINT, False, True),
        (space(acs=(0b01100, 0b01100)), ENDPOINT, False, True),
    ],
)
def test_configuration_space_tells(data: bytes, kind: int, is_bridge: bool, acs: bool) -> None:
    wanted = Function("0000:00:02.0", "", kind, is_bridge, acs)
    assert decode("0000:00:02.0", "", data) == wanted


def test_chains_that_lead_in_circles_end() -> None:
    data = bytearray(space(acs=(WHOLE, WHOLE)))
    data[0x41] = 0x40
    struct.pack_into("<I", data, 0x100, 0x100 << 20 | 1)
    assert decode("a", "", bytes(data)) == Function("a", "", PLAIN, False, False)


def test_who_is_not_root_is_told_so() -> None:
    with pytest.raises(FormatError, match="a: 64 bytes of configuration space"):
        decode("a", "", bytes(64))


def test_sysfs_is_read_with_the_bridges_that_lead_to_each(tmp_path: Path) -> None:
    root, links = tmp_path / "devices/pci0000:00", tmp_path / "links"
    links.mkdir()
    for path, data in (
        ("0000:00:01.0", space(header=1, kind=4)),
        ("0000:00:01.0/0000:01:00.0", space()),
    ):
        (root / path).mkdir(parents=True)
        (root / path / "config").write_bytes(data)
        (links / Path(path).name).symlink_to(root / path)
    found = read_topology(str(links))
    assert {name: each.parent for name, each in found.items()} == {
        "0000:00:01.0": "",
        "0000:01:00.0": "0000:00:01.0",
    }
