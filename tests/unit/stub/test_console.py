# SPDX-License-Identifier: Apache-2.0
"""The firmware's console as Linux gets it, on the host: keys, text, and dots within the screen."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pykexec.abi import pack, unpack
from pykexec.abi_devices import ConsoleFlag, ConsoleLimit, TextFlag
from pykexec.run import run

CSRC = Path(__file__).parents[3] / "csrc"
SOURCES = ("stub/services/console.c", "stub/lib/call.c", "stub/lib/string.c", "common/guids.c")
BUILDS = ("", "PK_TEST_NO_SCREEN_EDGE")
SUCCESS, INVALID, UNSUPPORTED, DEVICE_ERROR = 0, 2, 3, 7
ALL = ("extended", "text", "screen")
WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True)
class Said:
    """Statuses and answers by request, what the firmware was called for, and its screen."""

    statuses: list[int]
    answers: list[bytes]
    calls: list[str]
    nr_stalls: int
    screen: list[list[int]]


@pytest.fixture(scope="module", name="programs")
def programs_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("console")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fshort-wchar", "-g"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    sources = [Path(__file__).parent / "console.c", *(CSRC / name for name in SOURCES)]
    programs = {build: directory / (build or "product") for build in BUILDS}
    for build, path in programs.items():
        defines = [f"-D{build}"] if build else []
        run(["gcc", *flags, *defines, *sources, "-o", path], timeout_s=120)
    return programs


def ask(program: Path, firmware: tuple[str, ...], *requests: tuple[str, bytes]) -> Said:
    """What comes of requests, (operation, body), in order."""
    words = "".join(f"{operation} {body.hex()}\n" for operation, body in requests).encode()
    done = subprocess.run([program, *firmware], input=words, capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    answers = [line.split(" ")[1:] for line in lines if line.startswith("= ")]
    return Said(
        [int(status, 16) for status, _ in answers],
        [bytes.fromhex(body) for _, body in answers],
        [line for line in lines if not line.startswith(("= ", "stalls", "row"))],
        next(int(line.split()[1]) for line in lines if line.startswith("stalls")),
        [[int(pixel, 16) for pixel in line.split()[1:]] for line in lines if line[:3] == "row"],
    )


def keys(wait_ms: int = 0) -> tuple[str, bytes]:
    return "keys", pack("struct pk_keys_request", wait_ms=wait_ms)


def text(words: str | bytes = b"", **members: int) -> tuple[str, bytes]:
    raw = words if isinstance(words, bytes) else f"{words}\0".encode("utf-16-le")
    return "text", pack("struct pk_text_request", **members) + raw


def bitmap(rows: bytes, **members: int) -> tuple[str, bytes]:
    colours = {"foreground": 0xFFFFFF, "background": 0x1}
    return "draw", pack("struct pk_bitmap_request", **{"scale": 1, **colours, **members}) + rows


@pytest.mark.parametrize(
    ("firmware", "flags"),
    [
        (("none",), 0),
        (("plain",), ConsoleFlag.KEYS),
        (("extended", "text"), ConsoleFlag.KEYS | ConsoleFlag.MODIFIERS | ConsoleFlag.TEXT),
        (("none", "screen"), ConsoleFlag.SCREEN),
    ],
)
def test_it_says_which_parts_there_are(
    firmware: tuple[str, ...], flags: int, programs: dict[str, Path]
) -> None:
    (answer,) = ask(programs[""], firmware, ("info", b"")).answers
    info = unpack("struct pk_console_info", answer)
    assert info.flags == flags
    size = (80, 25, 3, 2) if flags & ConsoleFlag.TEXT else (0, 0, 0, 0)
    assert (info.columns, info.rows, info.cursor_column, info.cursor_row) == size
    assert (info.width, info.height) == ((64, 48) if flags & ConsoleFlag.SCREEN else (0, 0))


def test_keys_come_in_order_with_their_modifiers_where_somebody_knows_them(
    programs: dict[str, Path],
) -> None:
    typed = ("0:61:0:0", "1:0:80000001:0", "0:63:80000008:0", "0:64:8:0")
    pressed = [(0, 0x61, 0), (1, 0, 0x80000001), (0, 0x63, 0x80000008), (0, 0x64, 0)]
    extended = ask(programs[""], ("extended", *typed), keys(), keys())
    assert extended.answers == [b"".join(struct.pack("<HHI", *key) for key in pressed), b""]
    plain = ask(programs[""], ("plain", *typed), keys())
    assert plain.answers == [b"".join(struct.pack("<HHI", *key[:2], 0) for key in pressed)]


def test_it_waits_for_a_key_as_long_as_it_is_told_and_no_longer(programs: dict[str, Path]) -> None:
    typed = ("extended", "0:61:0:3", "0:62:0:0", "0:63:0:1")
    said = ask(programs[""], typed, keys(10), keys(), keys(5))
    assert [len(answer) // 8 for answer in said.answers] == [2, 1, 0]
    assert said.nr_stalls == 3 + 5
    assert ask(programs[""], ("extended",), keys(ConsoleLimit.KEYS_WAIT_MAX_MS)).nr_stalls == 1000
    assert ask(programs[""], ("extended",), keys(1001)).statuses == [INVALID]


def test_a_keyboard_that_fails_or_is_not_there_says_so(programs: dict[str, Path]) -> None:
    typed = ("extended", "0:61:0:0", "ffff:0:0:0")
    assert ask(programs[""], typed, keys(9), keys(9)).statuses == [SUCCESS, SUCCESS]
    assert ask(programs[""], ("extended", "ffff:0:0:0"), keys(9)).statuses == [DEVICE_ERROR]
    assert ask(programs[""], ("none",), keys(9)).statuses == [UNSUPPORTED]


def test_more_keys_than_an_answer_has_room_for_come_with_the_next(
    programs: dict[str, Path],
) -> None:
    typed = [f"0:{n:x}:0:0" for n in range(1, 101)]
    said = ask(programs[""], ("extended", *typed), keys(), keys(), keys())
    assert [len(answer) // 8 for answer in said.answers] == [ConsoleLimit.KEYS_MAX, 36, 0]


def test_text_is_cleared_for_placed_coloured_and_shown(programs: dict[str, Path]) -> None:
    flags = TextFlag.CLEAR | TextFlag.PLACE | TextFlag.COLOUR | TextFlag.CURSOR_HIDDEN
    request = text("hi", flags=flags, column=79, row=24, attribute=0x1F)
    said = ask(programs[""], ALL, request, text(flags=TextFlag.CURSOR_SHOWN))
    assert said.statuses == [SUCCESS, SUCCESS]
    steps = ["attribute 1f", "clear", "place 79 24", "cursor 0", "output 68 69"]
    assert said.calls == [*steps, "cursor 1"]


BAD_TEXT = {
    "another flag": text(flags=32),
    "beyond the columns": text(flags=TextFlag.PLACE, column=80),
    "beyond the rows": text(flags=TextFlag.PLACE, row=25),
    "no such colour": text(flags=TextFlag.COLOUR, attribute=0x80),
    "without an end": text("hi".encode("utf-16-le")),
    "half a character": text(b"a"),
    "an end in between": text("a\0b"),
}


@pytest.mark.parametrize("request_", BAD_TEXT.values(), ids=BAD_TEXT.keys())
def test_what_is_no_text_does_not_reach_the_firmware(
    request_: tuple[str, bytes], programs: dict[str, Path]
) -> None:
    said = ask(programs[""], ALL, request_)
    assert (said.statuses, said.calls) == ([INVALID], [])


def test_the_old_operation_takes_whole_text_alone(programs: dict[str, Path]) -> None:
    bad = (b"", b"a", b"a\0", b"a\0\0\0b\0\0\0")
    said = ask(programs[""], ALL, *(("write", body) for body in bad), ("write", b"a\0\0\0"))
    assert said.statuses == [INVALID] * 4 + [SUCCESS]
    assert said.calls == ["output 61"]


def test_without_conout_there_is_no_text(programs: dict[str, Path]) -> None:
    said = ask(programs[""], ("extended",), text("hi"), ("write", b"a\0\0\0"))
    assert said.statuses == [UNSUPPORTED, UNSUPPORTED]


def test_dots_are_drawn_in_their_colours_and_size(programs: dict[str, Path]) -> None:
    rows = bytes([0b10110000, 0b10000000, 0b01001111, 0b00000000])
    said = ask(programs[""], ALL, bitmap(rows, x=1, y=2, width=9, height=2, scale=3))
    assert said.statuses == [SUCCESS]
    dots = ["101100001", "010011110"]
    expected = [[0] * WIDTH for _ in range(HEIGHT)]
    for y in range(6):
        for x in range(27):
            expected[2 + y][1 + x] = 0xFFFFFF if dots[y // 3][x // 3] == "1" else 0x1
    assert said.screen == expected


FULL = bytes(8 * 48)
OUTSIDE = {
    "right": bitmap(FULL[:8], x=57, width=8, height=8),
    "below": bitmap(FULL[:8], y=41, width=8, height=8),
    "by its size": bitmap(FULL[:8], width=8, height=8, scale=9),
    "far away": bitmap(FULL[:1], x=0xFFFFFFFF, y=0xFFFFFFFF, width=1, height=1),
    "by both": bitmap(FULL[:1], x=0xFFFFFFF0, width=8, height=1, scale=64),
}
BAD_BITMAP = {
    "no width": bitmap(b"", width=0, height=8),
    "no height": bitmap(b"", width=8, height=0),
    "no scale": bitmap(FULL[:8], width=8, height=8, scale=0),
    "too much scale": bitmap(FULL[:1], width=1, height=1, scale=65),
    "too many dots": bitmap(bytes(33), width=257, height=1),
    "rows too short": bitmap(FULL[:7], width=8, height=8),
    "rows too long": bitmap(FULL[:9], width=8, height=8),
    "no such colour": bitmap(FULL[:8], width=8, height=8, foreground=0x1000000),
}


@pytest.mark.parametrize(
    "request_", [*OUTSIDE.values(), *BAD_BITMAP.values()], ids=[*OUTSIDE, *BAD_BITMAP]
)
def test_what_is_no_bitmap_or_leaves_the_screen_is_not_drawn(
    request_: tuple[str, bytes], programs: dict[str, Path]
) -> None:
    whole = bitmap(FULL, width=64, height=48)
    said = ask(programs[""], ALL, request_, whole)
    assert said.statuses == [INVALID, SUCCESS]
    assert said.screen == [[0x1] * WIDTH] * HEIGHT


@pytest.mark.parametrize("request_", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_stub_that_does_not_look_draws_into_other_memory(
    request_: tuple[str, bytes], programs: dict[str, Path]
) -> None:
    """Or wherever on the screen that is: nothing is refused."""
    try:
        said = ask(programs["PK_TEST_NO_SCREEN_EDGE"], ALL, request_)
    except subprocess.CalledProcessError as error:
        assert b"AddressSanitizer" in error.stderr
    else:
        assert said.statuses == [SUCCESS]


def test_without_a_screen_nothing_is_drawn(programs: dict[str, Path]) -> None:
    said = ask(programs[""], ("extended", "text"), bitmap(FULL[:8], width=8, height=8))
    assert said.statuses == [UNSUPPORTED]
