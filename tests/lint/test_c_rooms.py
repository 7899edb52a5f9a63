# SPDX-License-Identifier: Apache-2.0
"""The stub's rooms call downwards only, and no files of one call each other in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec import _freestanding
from tests.lint.c_rooms import ROOMS, Use, circles, upward, uses
from tests.lint.tree import ROOT

STUB = ROOT / "csrc/stub"


@pytest.fixture(scope="module", name="objects")
def objects_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    compiled = _freestanding.compile_stub(ROOT / "csrc", tmp_path_factory.mktemp("stub"))
    return {
        str(source.relative_to(STUB)): target
        for source, target in compiled.items()
        if source.is_relative_to(STUB)
    }


def _with(objects: dict[str, Path], directory: Path, name: str, text: str) -> dict[str, Path]:
    """The stub's objects and one more, compiled from text."""
    source = directory / Path(name).name
    source.write_text(text)
    return objects | {name: _freestanding.compile_file(ROOT / "csrc", source, directory)}


def test_every_file_is_in_a_room(objects: dict[str, Path]) -> None:
    assert {name.partition("/")[0] for name in objects} == set(ROOMS)
    assert {path.parent for path in STUB.rglob("*.[chS]")} == {STUB / room for room in ROOMS}


def test_no_room_uses_one_that_stands_before_it(objects: dict[str, Path]) -> None:
    assert [str(use) for use in upward(uses(objects))] == []


def test_no_files_go_round_in_a_circle(objects: dict[str, Path]) -> None:
    assert [str(use) for use in circles(uses(objects))] == []


def test_a_planted_call_upwards_is_found(objects: dict[str, Path], tmp_path: Path) -> None:
    text = "void pk_mailbox_wipe(void);\nvoid pk_planted(void);\nvoid pk_planted(void)\n{\n"
    planted = _with(objects, tmp_path, "end/planted.c", text + "\tpk_mailbox_wipe();\n}\n")
    found = [Use("end/planted.c", "doors/mailbox.c", "pk_mailbox_wipe")]
    assert upward(uses(planted)) == found
    assert str(found[0]) == "end/planted.c uses pk_mailbox_wipe of doors/mailbox.c"


def test_a_planted_datum_upwards_is_found(objects: dict[str, Path], tmp_path: Path) -> None:
    text = "extern int pk_sections;\nint *pk_planted(void);\nint *pk_planted(void)\n{\n"
    planted = _with(objects, tmp_path, "lib/planted.c", text + "\treturn &pk_sections;\n}\n")
    assert upward(uses(planted)) == [Use("lib/planted.c", "start/sections.c", "pk_sections")]


def test_a_planted_circle_is_found_whole(objects: dict[str, Path], tmp_path: Path) -> None:
    there = "void pk_there(void);\nvoid pk_back(void);\n"
    first = _with(
        objects, tmp_path, "end/first.c", f"{there}void pk_back(void)\n{{\n\tpk_there();\n}}\n"
    )
    both = _with(
        first, tmp_path, "end/second.c", f"{there}void pk_there(void)\n{{\n\tpk_back();\n}}\n"
    )
    assert circles(uses(both)) == [
        Use("end/first.c", "end/second.c", "pk_there"),
        Use("end/second.c", "end/first.c", "pk_back"),
    ]
    assert upward(uses(both)) == []
