# SPDX-License-Identifier: Apache-2.0
"""What comes of what was chosen: when the boot is spent, what is demanded, what is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from pykexec.config.agent import AgentConfig, WindowsConfig, parse_config
from pykexec.config.attest import AttestConfig
from pykexec.config.menu import Entry, MenuConfig
from pykexec.config.payload import PayloadConfig
from pykexec.errors import ConfigError
from pykexec.guest import agent, attest, boot_menu, menu, payload, seat
from pykexec.guest.boot_menu import Session, offered, rows, run_menu, started
from pykexec.menu.state import Menu, press, tick
from tests.support.faults import FAULTS

CONFIG = r"""
[attest]
server = 'https://s'
required = false
[agent]
shell = true
timeout_s = 2
[menu]
default = 'Debian'
[[entry]]
name = 'Debian'
path = '\debian.efi'
options = 'quiet'
[[entry]]
name = 'Attested'
path = '\a.efi'
sha256 = '%s'
needs = ['attest']
[[entry]]
name = 'Approved'
path = '\b.efi'
needs = ['approval']
[[entry]]
name = 'Windows'
kind = 'windows'
path = '\bootmgfw.efi'
[[entry]]
name = 'Rescue'
path = '\rescue.efi'
needs = ['shell']
[[entry]]
name = 'Setup'
kind = 'firmware'
""" % ("ab" * 32)
FOUND = Entry("On a disk", "efi", PayloadConfig("\\x.efi"), is_found=True)
OPTION = Entry("Network", "boot-option", None, is_found=True, number=7)
MAILBOX: Any = object()


def config(text: str = CONFIG) -> AgentConfig:
    return parse_config(text.encode(), "agent.toml")


def entry(name: str) -> Entry:
    menu_config = config().menu
    found = menu_config and menu_config.entry(name)
    assert found
    return found


class Course:
    """What was done, in order; is_spendable says whether the boot can be spent."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.is_spendable = True
        self.configs: list[AgentConfig] = []
        self.typed: list[str] = []
        self.is_there = True
        patch.setattr(attest, "is_remembered", lambda: False)
        patch.setattr(attest, "spend_for_a_person", lambda mailbox: self._spend())
        patch.setattr(payload, "start_payload", self._start)
        patch.setattr(menu, "shell", lambda: self.done.append("shell"))
        patch.setattr(boot_menu, "leave_for", lambda _, action, *why: self.done.append(action))
        patch.setattr(boot_menu, "_of_firmware", lambda: [OPTION])
        patch.setattr(boot_menu, "_of_disks", lambda mailbox: [FOUND, FOUND])
        patch.setattr(
            "pykexec.efi.variables.name_boot_next",
            lambda number: self.done.append(f"next {number}"),
        )
        patch.setattr("pykexec.guest.watch.has_second_seat", lambda mailbox: False)
        patch.setattr(seat, "sit", self._sit)
        patch.setattr(os, "isatty", lambda fd: self.is_there)
        patch.setattr(time, "sleep", lambda seconds: self.done.append(f"sleep {seconds}"))

    def _spend(self) -> bool:
        self.done.append("spend")
        return self.is_spendable

    def _start(self, mailbox: object, started: AgentConfig) -> bool:
        assert started.payload
        self.configs.append(started)
        self.done.append(f"start {started.payload.path}")
        return False

    def _sit(self, state: Menu, announce: str, elsewhere: Callable[[], str]) -> Menu:
        """Type what comes next; nobody is there after the last."""
        self.done.append("menu")
        keys = self.typed.pop(0) if self.typed else None
        self.is_there = bool(self.typed)
        if keys is None:
            raise EOFError
        if keys == "wait":
            while state.chosen is None:
                state = tick(state)
            return state
        for key in [*keys, "enter"]:
            state = press(state, key)
        return state


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> Course:
    return Course(monkeypatch)


def test_choosing_what_is_measured_spends_nothing(course: Course) -> None:
    session = Session(MAILBOX, config())
    for name in ("Debian", "Attested", "Approved", "Windows", "Setup"):
        session.carry_out(entry(name))
    assert "spend" not in course.done
    assert [each.attest is not None for each in course.configs] == [True] * 4


SPENDS = {
    "a shell": (Entry("shell", "shell", None, ("shell",)), None, ["shell"]),
    "what is as good": (entry("Rescue"), None, ["start \\rescue.efi"]),
    "changed options": (entry("Debian"), "init=/bin/sh", ["start \\debian.efi"]),
    "options taken away": (entry("Attested"), "", ["start \\a.efi"]),
    "what a disk has": (FOUND, None, ["start \\x.efi"]),
    "what the firmware has": (OPTION, None, ["next 7", "reset"]),
}


@pytest.mark.parametrize(("chosen", "options", "done"), SPENDS.values(), ids=SPENDS.keys())
def test_the_boot_is_spent_before_it_is_given(
    chosen: Entry, options: str | None, done: list[str], course: Course
) -> None:
    Session(MAILBOX, config()).carry_out(chosen, options)
    assert course.done == ["spend", *done]
    assert all(each.attest is None for each in course.configs)


@pytest.mark.parametrize(("chosen", "options", "done"), SPENDS.values(), ids=SPENDS.keys())
def test_nothing_is_given_where_the_boot_cannot_be_spent(
    chosen: Entry, options: str | None, done: list[str], course: Course
) -> None:
    course.is_spendable = False
    why = Session(MAILBOX, config()).carry_out(chosen, options)
    assert course.done == ["spend"]
    assert why == "not begun: this boot attests, and could not be spent before"


@pytest.mark.parametrize(("chosen", "options", "done"), SPENDS.values(), ids=SPENDS.keys())
def test_a_machine_that_does_not_attest_has_nothing_to_spend(
    chosen: Entry, options: str | None, done: list[str], course: Course
) -> None:
    Session(MAILBOX, AgentConfig(shell=True)).carry_out(chosen, options)
    assert course.done == done


def test_a_boot_is_spent_once(course: Course) -> None:
    session = Session(MAILBOX, config())
    for _ in range(3):
        session.carry_out(entry("Rescue"))
    assert course.done.count("spend") == 1


def test_a_next_start_that_cannot_be_named_resets_nothing(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise FAULTS["ENOSPC"]()

    monkeypatch.setattr("pykexec.efi.variables.name_boot_next", full)
    why = Session(MAILBOX, config()).carry_out(OPTION)
    assert (why, course.done) == ("BootNext: No space left on device", ["spend"])


def test_options_are_not_changed_where_no_shell_is_allowed(course: Course) -> None:
    session = Session(MAILBOX, AgentConfig(shell=False))
    assert session.carry_out(entry("Debian"), "init=/bin/sh").startswith("options cannot be")
    assert course.done == []
    (row,) = rows((entry("Debian"),), AgentConfig(shell=False))
    assert row.options is None


def test_an_entry_is_started_as_a_payload_would_be() -> None:
    plain = started(config(), entry("Debian"))
    assert plain.payload == PayloadConfig("\\debian.efi", options="quiet")
    assert (plain.attest, plain.windows) == (config().attest, None)
    assert started(config(), entry("Attested")).payload == entry("Attested").payload
    assert started(config(), entry("Windows")).windows == WindowsConfig("fail")


def test_what_an_entry_needs_is_demanded_whatever_is_configured() -> None:
    assert config().attest == AttestConfig("https://s", required=False)
    demanded = AttestConfig("https://s", required=True)
    assert started(config(), entry("Attested")).attest == demanded
    approved = AttestConfig("https://s", required=True, approval=True)
    assert started(config(), entry("Approved")).attest == approved


def test_what_cannot_be_demanded_is_not_started() -> None:
    with pytest.raises(ConfigError, match="entry 'Attested': there is no"):
        started(AgentConfig(), entry("Attested"))


def test_what_is_found_is_offered_behind_the_entries_with_names_of_its_own(
    course: Course,
) -> None:
    both = MenuConfig((entry("Debian"),), offer=("firmware", "disks"))
    names = [each.name for each in offered(MAILBOX, AgentConfig(menu=both, shell=False))]
    assert names == ["Debian", "Network", "On a disk", "On a disk (2)"]


def test_where_a_shell_is_allowed_it_is_offered_and_ways_back(course: Course) -> None:
    kinds = [each.kind for each in offered(MAILBOX, config())]
    assert kinds == ["efi"] * 3 + ["windows", "efi", "firmware", "shell", "boot-next", "reset"]


def test_a_name_of_a_disk_is_shown_as_a_line_and_not_as_an_entry(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Entry(name, "efi", is_found=True) for name in ("Debian", "\x1b[2J\n", "")]
    monkeypatch.setattr(boot_menu, "_of_disks", lambda mailbox: found)
    offer = MenuConfig((entry("Debian"),), offer=("disks",))
    names = [each.name for each in offered(MAILBOX, AgentConfig(menu=offer, shell=False))]
    assert names == ["Debian", "Debian (2)", "?[2J?", "?"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", ["_of_firmware", "_of_disks"])
def test_what_cannot_be_looked_at_hides_no_entry(
    source: str, fault: str, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Entry]:
        raise FAULTS[fault]()

    monkeypatch.setattr(boot_menu, source, fail)
    both = MenuConfig((entry("Debian"),), offer=("firmware", "disks"))
    names = [each.name for each in offered(MAILBOX, AgentConfig(menu=both, shell=False))]
    assert names[0] == "Debian" and len(names) in (2, 3)


RUNS: dict[str, tuple[list[str], list[str], bool]] = {
    "the time": (["wait"], ["menu", "start \\debian.efi"], False),
    "a person": (["2"], ["menu", "start \\a.efi"], True),
    "a person again": (["2", "3"], ["menu", "start \\a.efi", "menu", "start \\b.efi"], True),
    "a shell, then an entry": (
        ["7", "1"],
        ["menu", "spend", "shell", "menu", "start \\debian.efi"],
        True,
    ),
    "back to the firmware": (["6"], ["menu", "firmware"], True),
    "nobody": ([], ["menu", "start \\debian.efi"], False),
}


@pytest.mark.parametrize(("typed", "done", "is_gone"), RUNS.values(), ids=RUNS.keys())
def test_the_menu_is_there_until_the_machine_is_somebody_elses(
    typed: list[str], done: list[str], is_gone: bool, course: Course
) -> None:
    course.typed = typed
    assert run_menu(MAILBOX, config(), again=False) == is_gone
    assert course.done == done


def test_a_default_without_a_time_is_started_at_once_and_no_menu_is_made(course: Course) -> None:
    at_once = config(CONFIG.replace("timeout_s = 2", "timeout_s = 0"))
    assert not run_menu(MAILBOX, at_once, again=False)
    assert course.done == ["sleep 0", "start \\debian.efi"]


def test_an_agent_without_a_menu_has_none_of_it() -> None:
    code = """
import sys
from pykexec.config.agent import resolve_config
import pykexec.guest.agent, pykexec.guest.payload
resolve_config(b"[payload]\\npath = '\\\\\\\\a.efi'", b"[agent]\\ntimeout_s = 1")
print(*sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    modules = done.stdout.split()
    assert "pykexec.guest.payload" in modules
    assert [name for name in modules if "menu" in name or name in ("json", "termios")] == []


def test_without_a_terminal_the_default_is_started_when_its_time_has_come(course: Course) -> None:
    course.is_there = False
    assert not run_menu(MAILBOX, config(), again=False)
    assert course.done == ["sleep 2", "start \\debian.efi"]


def test_what_has_come_back_is_not_started_again_by_itself(course: Course) -> None:
    course.typed = ["", "2"]
    assert run_menu(MAILBOX, config(), again=True)
    assert course.done == ["menu", "start \\debian.efi", "menu", "start \\a.efi"]
    course.is_there, course.done = False, []
    assert run_menu(MAILBOX, config(), again=True)
    assert course.done == []


@pytest.mark.parametrize(
    ("action", "done"),
    [("boot-next", ["boot-next"]), ("agent", ["again", "boot-next"]), ("reset", ["reset"])],
)
def test_a_default_that_cannot_be_started_is_a_failure(
    action: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def run(mailbox: object, config: AgentConfig, again: bool) -> bool:
        if again:
            seen.append("again")
        return again

    monkeypatch.setattr(boot_menu, "run_menu", run)
    monkeypatch.setattr(agent, "leave_for", lambda mailbox, action, *why: seen.append(action))
    failing = AgentConfig(failure_action=action, shell=False, menu=MenuConfig())
    agent.offer_menu(MAILBOX, failing, again=False)
    assert seen == done


def test_after_a_shell_comes_the_menu_that_is_configured(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "leave_for", lambda _, action, *why: course.done.append(action))
    monkeypatch.setattr(agent, "_offer", lambda mailbox, config: None)
    course.typed = ["1"]
    agent.attend(MAILBOX, config())
    assert course.done == ["spend", "shell", "menu", "start \\debian.efi", "boot-next"]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_in_the_menu_the_failure_action_is_taken(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise FAULTS[fault]()

    seen: list[str] = []
    monkeypatch.setattr(boot_menu, "run_menu", fail)
    monkeypatch.setattr(agent, "leave_for", lambda mailbox, action, *why: seen.append(action))
    agent.offer_menu(MAILBOX, AgentConfig(failure_action="reset", shell=False), again=False)
    assert seen == ["reset"]
