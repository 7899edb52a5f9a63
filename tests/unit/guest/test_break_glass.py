# SPDX-License-Identifier: Apache-2.0
"""What the console shows when no server answers, and what is made of what is typed there."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from pykexec.attest.answer import SECRET_NAME
from pykexec.attest.break_glass import parse_offer
from pykexec.attest.groups import to_groups
from pykexec.attest.protocol import QUOTED_PCRS
from pykexec.config.agent import AgentConfig
from pykexec.config.attest import AttestConfig
from pykexec.crypto import EcdhKey, ecdh_generate
from pykexec.errors import DeniedError, NetworkError
from pykexec.guest import break_glass, console, screen
from pykexec.guest.attest import Attestation
from pykexec.guest.qr import qr_code
from pykexec.tpm.client import Tpm
from pykexec.verify.answer import seal_answer
from pykexec.verify.offer import ak_area, judge_offer
from pykexec.verify.release import PlainSecret
from tests.support.booted_tpm import Booted, booted_tpm
from tests.support.firmware_console import FirmwareConsole

STATEMENT = b'{"version":1}'
KEY = b"the key of the volume, 32 bytes."


@pytest.fixture(scope="module", name="booted")
def booted_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with booted_tpm(tmp_path_factory.mktemp("tpm")) as booted:
        yield booted


def answered(key: EcdhKey, statement: bytes = STATEMENT) -> tuple[str, ...]:
    secret = PlainSecret("root", "luks-key", {"file": "k"}, bytearray(KEY))
    return to_groups(seal_answer(secret, (key.x, key.y), statement))


class Keyboard:
    """Somebody who types these lines; afterwards nobody does."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.lines:
            raise EOFError("nobody has typed anything")
        return self.lines.pop(0)


def test_a_tpm_offers_what_a_server_that_accepted_it_accepts(booted: Booted) -> None:
    key = ecdh_generate("P-256")
    with Tpm(booted.transmit) as tpm:
        offer, statement = break_glass.make_offer(tpm, booted.facts, "", key)
        registers = tpm.read_pcrs("sha256", QUOTED_PCRS)
        assert ak_area(offer) == tpm.ak().public
    accepted = {
        "bank": "sha256",
        "pcrs": {str(number): value.hex() for number, value in registers.items()},
        "machine": dict(booted.facts.machine),
        "payload": dict(booted.facts.payload),
    }
    judged = judge_offer(parse_offer(offer.encode()), accepted, None)
    assert judged.verdict.reasons == () and judged.statement == statement
    assert judged.signed and judged.counters


def test_what_is_typed_is_spent_for_and_opened() -> None:
    key, spent = ecdh_generate("P-256"), [0]
    groups = answered(key)

    def spend() -> None:
        spent[0] += 1

    typist = Keyboard(" ".join(groups[:3]), *groups[3:])
    with break_glass.open_typed(typist, spend, key, STATEMENT) as release:
        (secret,) = release.secrets
        assert (secret.name, secret.kind, bytes(secret.value.view)) == (
            SECRET_NAME,
            "luks-key",
            KEY,
        )
    assert spent == [1]
    assert typist.prompts[0] == "group 1: " and typist.prompts[-1].startswith(
        f"group {len(groups)}"
    )


def test_a_boot_that_cannot_be_spent_opens_nothing() -> None:
    def fail() -> None:
        raise DeniedError("no TPM")

    key = ecdh_generate("P-256")
    with pytest.raises(DeniedError, match="no TPM"):
        break_glass.open_typed(Keyboard(*answered(key)), fail, key, STATEMENT)


def test_one_wrong_character_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    key = ecdh_generate("P-256")
    groups = answered(key)
    wrong = groups[4][:-1] + ("0" if groups[4][-1] != "0" else "1")
    typist = Keyboard(*groups[:4], wrong, *groups[4:])
    with break_glass.open_typed(typist, lambda: None, key, STATEMENT) as release:
        assert bytes(release.secrets[0].value.view) == KEY
    assert "group 5 is mistyped" in capsys.readouterr().out


def test_the_answer_of_another_machine_is_named_and_the_right_one_still_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    key, spent = ecdh_generate("P-256"), [0]

    def spend() -> None:
        spent[0] += 1

    typist = Keyboard(*answered(ecdh_generate("P-256")), *answered(key))
    with break_glass.open_typed(typist, spend, key, STATEMENT) as release:
        assert bytes(release.secrets[0].value.view) == KEY
    assert "another machine" in capsys.readouterr().out
    assert spent == [1]


def test_who_guesses_is_not_listened_to_for_ever() -> None:
    typist = Keyboard(*["0123456789"] * 100)
    with pytest.raises(DeniedError, match="too many wrong answers"):
        break_glass.open_typed(typist, _never, ecdh_generate("P-256"), STATEMENT)
    assert len(typist.prompts) == break_glass.WRONG_MAX


def test_nobody_at_the_keyboard_is_an_end() -> None:
    with pytest.raises(DeniedError, match="nobody has typed"):
        break_glass.open_typed(Keyboard(), _never, ecdh_generate("P-256"), STATEMENT)


def _never() -> None:
    raise AssertionError("nothing was typed that is worth a boot")


def test_a_line_is_read_from_the_console_and_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outer, inner = pty.openpty()
    saved = os.dup(0)
    os.dup2(inner, 0)
    try:
        os.write(outer, b"ABCDE-FGHJK\n")
        assert screen.ask("group 1: ", 5) == "ABCDE-FGHJK"
        with pytest.raises(EOFError, match="nobody"):
            screen.ask("group 2: ", 0)
    finally:
        os.dup2(saved, 0)
        for fd in (outer, inner, saved):
            os.close(fd)


@pytest.mark.parametrize(
    ("size", "scrolls", "is_shown"),
    [
        ((0, 0), True, True),
        ((0, 0), False, False),
        ((80, 24), True, False),
        ((120, 60), False, True),
    ],
)
def test_a_code_that_is_high_is_shown_where_nobody_says_that_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    size: tuple[int, int],
    scrolls: bool,
    is_shown: bool,
) -> None:
    monkeypatch.setattr(console, "_terminal", None)
    monkeypatch.setattr(screen, "_room", lambda: size)
    modules = qr_code("HTTPS://KEYS.EXAMPLE/BREAK-GLASS/" + "A2" * 220)
    assert len(modules[0]) + 8 <= 80
    assert screen.show_matrix(modules, None, scrolls) is is_shown
    assert bool(capsys.readouterr().out) is is_shown


def test_a_screen_of_the_firmware_has_room_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    firmware = FirmwareConsole(pixels=(800, 600))
    modules = qr_code("HTTPS://KEYS.EXAMPLE/BREAK-GLASS/" + "A2" * 220)
    assert screen.show_matrix(modules, firmware, True)  # type: ignore[arg-type]


def config(text: str) -> AttestConfig:
    return AttestConfig("https://keys.example", break_glass=text)


@pytest.mark.parametrize(
    ("attest", "is_terminal"),
    [
        (config(""), True),
        (config("https://keys.example"), False),
        (AttestConfig("https://k", break_glass="https://k", approval_s=0), True),
    ],
)
def test_without_persons_no_server_is_what_it_was(
    monkeypatch: pytest.MonkeyPatch, attest: AttestConfig, is_terminal: bool
) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: is_terminal)
    attestation = Attestation(None, AgentConfig(), attest)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="away"):
        attestation._unless_helped(NetworkError("away"))


def test_with_persons_no_server_is_said_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    attestation = Attestation(None, AgentConfig(), config("https://k"))  # type: ignore[arg-type]
    error = NetworkError("away")
    assert attestation._unless_helped(error) is error
    assert "away" in capsys.readouterr().err
