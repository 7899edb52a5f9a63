# SPDX-License-Identifier: Apache-2.0
"""Why it ended is kept for the next start, and flash is written to only when that is news."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.abi import Action, Stage, pack
from pykexec.errors import FormatError
from pykexec.firmware.last_end import LastEnd, decode_last_end, reason_bytes
from pykexec.run import run

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"
FLAGS = (
    *("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fshort-wchar"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *(f"-I{CSRC}", f"-I{CSRC / 'include'}"),
)
PARTS = ("stub/end/last_end.c", "stub/end/leave.c", "common/guids.c")
DENIED = 1 << 63 | 15
COLD, SHUTDOWN = 0, 2
LEFT = f"keep:{Stage.LEAVE}:0:{Action.BOOT_NEXT}"
REFUSED = f"keep:{Stage.LOAD}:{DENIED:x}:{Action.BOOT_NEXT}"


@pytest.fixture(scope="module", name="program")
def program_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("last_end") / "last_end"
    sources = [HERE / "last_end.c", *(CSRC / part for part in PARTS)]
    run(["gcc", *FLAGS, "-o", program, *sources])
    return program


def written(program: Path, *steps: str) -> list[LastEnd]:
    """What was kept, each time that it was."""
    lines = run([program, *steps]).decode().splitlines()
    words = [line.split() for line in lines if line.startswith("PykexecLastEnd")]
    assert {attributes for _, attributes, _ in words} <= {"7"}
    return [decode_last_end(bytes.fromhex(data)) for _, _, data in words]


def test_what_linux_says_is_kept(program: Path) -> None:
    (kept,) = written(program, "linux", f"leave:{Action.BOOT_NEXT}:no disk, no key", LEFT)
    assert kept == LastEnd("leave", 0, "boot-next", "no disk, no key")
    assert str(kept) == "no disk, no key, action boot-next"


def test_a_payload_that_was_refused_is_kept_without_words(program: Path) -> None:
    (kept,) = written(program, "linux", REFUSED)
    assert str(kept) == "load: ACCESS_DENIED, action boot-next"


def test_an_end_of_which_nothing_is_to_be_said_costs_no_flash(program: Path) -> None:
    returned = f"keep:{Stage.RETURNED}:0:{Action.BOOT_NEXT}"
    assert written(program, "linux", f"leave:{Action.FIRMWARE}:", LEFT, "linux", returned) == []


def test_what_is_kept_already_is_not_written_again(program: Path) -> None:
    again = ("linux", f"leave:{Action.BOOT_NEXT}:why", LEFT)
    other = ("linux", f"leave:{Action.BOOT_NEXT}:what", LEFT)
    kept = written(program, *again, *again, *again, *other, *again)
    assert [each.reason for each in kept] == ["why", "what", "why"]


def test_what_one_linux_said_is_not_the_next_ones(program: Path) -> None:
    (kept,) = written(program, "linux", f"leave:{Action.AGENT}:why", "linux", REFUSED)
    assert kept.reason == ""


def test_a_reset_of_linux_own_is_told_unless_it_starts_a_payload_or_switches_off(
    program: Path,
) -> None:
    end = f"keep:{Stage.LEAVE}:0:{Action.RESET}"
    (kept,) = written(program, "linux", f"reset:{COLD}", end)
    assert kept.reason == "Linux asked for a reset, or has panicked"
    assert written(program, "linux", f"reset:{SHUTDOWN}", end) == []
    assert written(program, "staged", "linux", f"reset:{COLD}", end) == []
    asked = written(program, "linux", f"leave:{Action.RESET}:as told", f"reset:{COLD}", end)
    assert [each.reason for each in asked] == ["as told"]


def test_a_reason_has_its_room_and_no_more(program: Path) -> None:
    (kept,) = written(program, "linux", "long:256", LEFT)
    assert kept.reason == "x" * 256
    assert run([program, "linux", "long:257"]).decode() == "asked 2\n"


def test_a_full_store_is_a_line(program: Path) -> None:
    said = run([program, "full", "linux", REFUSED]).decode()
    assert said == "pykexec: why it ended cannot be kept (%x)\n"


def test_a_long_reason_is_cut_between_characters() -> None:
    assert reason_bytes("\u00e4" * 200) == "\u00e4".encode() * 128
    assert reason_bytes("a\x1b[2J\nb") == b"a?[2J?b"


@pytest.mark.parametrize("data", [b"", bytes(279), bytes(280), bytes(281)])
def test_another_layout_is_no_last_end(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_last_end(data)


def test_what_somebody_else_has_written_is_printable_and_one_line() -> None:
    reason = [*b"\x1b[2J\nfalse \xff"]
    data = pack("struct pk_last_end", version=1, stage=99, action=77, reason=reason)
    assert str(decode_last_end(data)) == "?[2J?false \ufffd, action 77"
