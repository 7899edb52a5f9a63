# SPDX-License-Identifier: Apache-2.0
"""Registry hives, as hivex writes and reads them and as nobody should."""

from __future__ import annotations

import base64
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.vm.hives import NOWHERE, Node, hive, number, sealed, text, texts
from pykexec.windows.hive import BASE_SIZE, Hive, Key

TREE = Node(
    {
        "Description": Node(values={"KeyName": text("BCD00000000"), "System": number(1)}),
        "Größe": Node(values={"größer": text("as it is"), "": text("unnamed")}),
        "Łódź": Node(values={"Ł": texts("one", "two")}),
        **{f"key {index}": Node({"deeper": Node()}) for index in range(40)},
    },
    {"binary": (3, bytes(range(256))), "short": (3, b"ab"), "empty": (3, b"")},
)
Tree = dict[str, object]


def tree(found: Hive, key: Key) -> Tree:
    """All that our reader finds."""
    values = {value.name: (value.type, value.data) for value in found.values(key)}
    return {"": values, **{each.name: tree(found, each) for each in found.subkeys(key)}}


def tree_of_hivex(path: Path) -> Tree:
    """All that hivex finds; of values what hivexml writes of them."""
    return _xml(ElementTree.fromstring(run(["hivexml", path])).find("node"))


def _xml(node: ElementTree.Element | None) -> Tree:
    assert node is not None
    values = {each.get("key", ""): _value(each) for each in node.findall("value")}
    return {"": values, **{each.get("name", ""): _xml(each) for each in node.findall("node")}}


def _value(element: ElementTree.Element) -> object:
    if element.get("type") == "string-list":
        return [each.text for each in element.findall("string") if each.text]
    content = element.get("value", "")
    if element.get("encoding") == "base64":
        return base64.b64decode(content)
    return content


def shown(values: object) -> object:
    """A tree of ours, with values as hivexml shows them."""
    assert isinstance(values, dict)
    return {
        name: {key: _shown(*each) for key, each in found.items()} if not name else shown(found)
        for name, found in values.items()
    }


def _shown(type_: int, data: bytes) -> object:
    if type_ == 1:
        return data.decode("utf-16-le").rstrip("\0")
    if type_ == 4:
        return str(int.from_bytes(data, "little"))
    if type_ == 7:
        return data.decode("utf-16-le").rstrip("\0").split("\0")
    return data


@pytest.mark.parametrize("lists", ["lf", "lh", "li", "ri"])
def test_a_hive_is_read_as_hivex_reads_it(tmp_path: Path, lists: str) -> None:
    path = tmp_path / "hive"
    path.write_bytes(hive(TREE, lists))
    found = Hive(path.read_bytes(), "hive")
    assert shown(tree(found, found.root)) == tree_of_hivex(path)


def test_what_hivex_has_written_is_read(tmp_path: Path) -> None:
    path, script = tmp_path / "hive", tmp_path / "script"
    path.write_bytes(hive(Node()))
    keys = "".join(f"add key{index:04}\n" for index in range(600))
    script.write_text(
        f"{keys}cd key0300\nadd {{9dea862c-5cdd-4e70-acc1-f32b344d4795}}\n"
        "setval 3\nElement\nstring:\\\\Windows\\\\system32\nType\ndword:0x10200003\n"
        "Data\nhex:3:00,01,02,03,04\ncommit\n"
    )
    run(["hivexsh", "-w", "-f", script, path])
    found = Hive(path.read_bytes(), "hive")
    ours = tree(found, found.root)
    assert len(ours) == 601
    assert shown(ours) == tree_of_hivex(path)
    key = found.key("KEY0300")
    assert key and found.key("key0300", "{9DEA862C-5cdd-4e70-acc1-f32b344d4795}")
    value = found.value(key, "type")
    assert value and value.data == struct.pack("<I", 0x10200003)


def changed(offset: int, data: bytes) -> bytes:
    """The hive with other bytes in it and a right checksum; offsets from the first bin on count
    from 0.
    """
    found = bytearray(hive(TREE))
    found[BASE_SIZE + offset : BASE_SIZE + offset + len(data)] = data
    return sealed(found)


ROOT = 32
"""Where the root's cell lies in the bin, before its contents 4 bytes of size."""


def subkeys_of_root() -> int:
    (offset,) = struct.unpack_from("<I", hive(TREE), BASE_SIZE + ROOT + 4 + 28)
    return int(offset)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "0 bytes are too few for a registry hive"),
        (bytes(8192), "no registry hive (no regf at offset 0)"),
        (hive(TREE)[:-1], "bins of 12288 bytes in 16383"),
        (hive(TREE)[:BASE_SIZE], "bins of 12288 bytes in 4096"),
        (hive(TREE)[:508] + b"abcd" + hive(TREE)[512:], "checksum 0x64636261"),
        (changed(0, b"xxxx"), "offset 0x0: no bin"),
        (changed(8, b"\0\0\0\0"), "offset 0x0: bin of 0 bytes"),
        (changed(8, b"\0\x10\0\0"), "offset 0x1000: no bin"),
        (changed(ROOT, struct.pack("<i", 96)), "cell of -96 bytes"),
        (changed(ROOT, struct.pack("<i", -1 << 24)), "cell of 16777216 bytes"),
        (changed(ROOT, struct.pack("<i", -(1 << 31))), "cell of 2147483648 bytes"),
        (changed(ROOT + 4, b"xx"), "offset 0x20: no key"),
        (changed(ROOT + 4 + 72, b"\xff\xff"), "name of 65535 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_hive_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError) as error:
        Hive(data, "BCD")
    assert str(error.value).startswith("BCD: ")
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("offset", "data", "fault"),
    [
        (ROOT + 4 + 20, struct.pack("<I", 1 << 20), "1048576 subkeys"),
        (ROOT + 4 + 20, struct.pack("<I", 2), "more subkeys than its 2"),
        (ROOT + 4 + 28, struct.pack("<I", ROOT), "'nk' is no list of subkeys"),
        (ROOT + 4 + 28, struct.pack("<I", 1 << 20), "no cell at 0x100000"),
        (ROOT + 4 + 28, struct.pack("<I", 8), "no cell at 0x8"),
        (subkeys_of_root() + 4 + 2, b"\xff\xff", "list of 65535 is cut off"),
        (subkeys_of_root() + 4 + 4, struct.pack("<I", NOWHERE - 7), "no cell at 0xfffffff8"),
        # A list of lists whose first list is itself.
        (subkeys_of_root() + 4, b"ri\1\0" + struct.pack("<I", subkeys_of_root()), "'ri' is no"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_list_that_is_none_is_named(offset: int, data: bytes, fault: str) -> None:
    found = Hive(changed(offset, data), "BCD")
    with pytest.raises(FormatError, match=f"^BCD: .*{fault}"):
        found.key("no such key")


@pytest.mark.parametrize(
    ("field", "data", "fault"),
    [
        (0, b"xx", "no value"),
        (2, b"\xff\xff", "name of 65535 bytes"),
        (4, struct.pack("<I", 1 << 31 | 5), "5 bytes in a place for 4"),
        (4, struct.pack("<I", 20000), "20000 bytes, more than 16344"),
        (4, struct.pack("<I", 300), "300 bytes in a cell of"),
        (8, struct.pack("<I", 4), "no cell at 0x4"),
    ],
)
def test_a_value_that_is_none_is_named(field: int, data: bytes, fault: str) -> None:
    whole = hive(TREE)
    at = whole.index(b"vk" + struct.pack("<HI", len(b"binary"), 256)) - BASE_SIZE
    found = Hive(changed(at + field, data), "BCD")
    with pytest.raises(FormatError, match=f"^BCD: .*{fault}"):
        list(found.values(found.root))


def test_a_last_change_that_is_not_whole_is_told() -> None:
    data = bytearray(hive(TREE))
    data[4] = 2
    assert Hive(hive(TREE), "BCD").is_whole
    assert not Hive(sealed(data), "BCD").is_whole


def test_a_key_that_is_its_own_child_ends_with_the_path() -> None:
    """Names are looked for one by one: a circle is as long as who asks makes it."""
    found = Hive(changed(subkeys_of_root() + 4 + 4, struct.pack("<I", ROOT)), "BCD")
    assert found.key("root", "root", "root", "no such key") is None
