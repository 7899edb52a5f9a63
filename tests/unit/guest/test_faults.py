# SPDX-License-Identifier: Apache-2.0
"""Whatever fails in the agent and in PID 1, what is configured is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec import log
from pykexec.abi import pack
from pykexec.config.agent import AgentConfig, resolve_config
from pykexec.firmware import native
from pykexec.firmware.info import FirmwareInfo, decode_info
from pykexec.guest import agent, attest, ends, init, menu, payload
from tests.support.faults import FAULTS, inject

CONFIG = b"""
[payload]
path = '\\\\EFI\\\\x.efi'
[agent]
timeout_s = 1
shell = true
bridges = ["tpm"]
[failure]
action = "reset"
[firmware]
drivers = ['\\\\x.efi']
"""
ATTESTED = CONFIG + b"[attest]\nserver = 'https://a.example'\n"


def info() -> FirmwareInfo:
    """What the stub says at first."""
    return decode_info(pack("struct pk_info"))


class Course:
    """What the agent has come to do."""

    def __init__(self, patch: pytest.MonkeyPatch, config: bytes = CONFIG) -> None:
        self.done: list[str] = []
        patch.setattr(agent, "Mailbox", object)
        patch.setattr(agent, "read_info", lambda mailbox: info())
        patch.setattr(agent, "show", lambda mailbox: None)
        patch.setattr(agent, "read_embedded", lambda: config)
        patch.setattr(agent, "load_drivers", lambda mailbox, info, config: None)
        patch.setattr(agent, "start_bridges", lambda config: None)
        patch.setattr(native, "allow", lambda allowed: None)
        patch.setattr(attest, "remember", lambda: None)
        patch.setattr("pykexec.net.boot_server.network_origin", lambda mailbox: None)
        patch.setattr("pykexec.guest.console.wait_for_key", lambda *_: False)
        patch.setattr(payload, "start_payload", lambda mailbox, config: self.note("payload"))
        patch.setattr(agent, "leave_for", lambda mailbox, action, *why: self.note(action))
        patch.setattr(time, "sleep", lambda seconds: None)

    def note(self, what: str) -> bool:
        """It is done, and never fails."""
        self.done.append(what)
        return True


# What fails, and what the agent then does.
STEPS = {
    "Mailbox": "payload",
    "read_info": "payload",
    "show": "payload",
    "begin_trial": "payload",
    "native.allow": "payload",
    "load_drivers": "payload",
    "start_bridges": "payload",
    "read_embedded": "boot-next",
    "resolve_config": "boot-next",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("step", "then"), STEPS.items())
def test_whatever_fails_the_agent_takes_its_course(
    step: str,
    then: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    course = Course(monkeypatch)
    inject(monkeypatch, agent, step, fault)
    agent.run(0.0)
    assert course.done == [then]
    assert "pykexec" in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_an_image_that_certifies_gives_the_machine_back_whatever_fails(
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    course = Course(monkeypatch)
    settings = tmp_path / "certify.json"
    settings.write_bytes(b"{}")
    monkeypatch.setattr(agent, "CERTIFY_PATH", str(settings))
    inject(monkeypatch, agent, "_certify", fault)
    agent.run(0.0)
    assert course.done == ["firmware"]
    assert "pykexec: certify" in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", ["console.wait_for_key", "payload.start_payload"])
def test_a_payload_that_cannot_be_started_is_a_failure_and_a_countdown_is_none(
    where: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(monkeypatch)
    if where == "console.wait_for_key":
        monkeypatch.setattr(f"pykexec.guest.{where}", lambda *_: raise_(fault))
        agent.run(0.0)
        assert course.done == ["payload"]
    else:
        monkeypatch.undo()
        monkeypatch.setattr(payload, "_absolute", lambda mailbox, payload: raise_(fault))
        assert not payload.start_payload(None, resolve_config(CONFIG, None))  # type: ignore[arg-type]


def raise_(fault: str) -> bool:
    """Fail in that way."""
    raise FAULTS[fault]()


@pytest.mark.parametrize("fault", FAULTS)
def test_an_agent_that_cannot_remember_that_it_attests_lets_nobody_in(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(monkeypatch, ATTESTED)
    monkeypatch.setattr(attest, "remember", lambda: raise_(fault))
    agent.run(0.0)
    assert course.done == ["reset"]


@pytest.mark.parametrize("fault", FAULTS)
def test_secrets_that_cannot_be_withdrawn_reset_the_machine(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions: list[str] = []

    class Released:
        connect = release = lambda *_: raise_(fault)
        withdraw = connect

    monkeypatch.setattr(attest, "Attestation", lambda *_: Released())
    monkeypatch.setattr(payload, "leave_for", lambda _, action, why: actions.append(action))
    config = resolve_config(ATTESTED, None)
    assert not payload.start_payload(None, config)  # type: ignore[arg-type]
    assert actions == ["reset"]


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_keeps_a_boot_from_being_spent_keeps_people_out(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykexec.attest.spend.spend", lambda *_: raise_(fault))
    monkeypatch.setattr("pykexec.tpm.transport.device", lambda path: None)
    monkeypatch.setattr("pykexec.tpm.client.Tpm", lambda transmit: None)
    assert not attest.spend_for_a_person(None)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_menu_goes_on_as_long_as_somebody_may_sit_there(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(monkeypatch)
    there = iter([True, True, True, False])
    monkeypatch.setattr(os, "isatty", lambda fd: next(there))
    monkeypatch.setattr(menu, "shell", lambda: raise_(fault))
    monkeypatch.setattr(menu, "menu", lambda *_: course.note("menu") and raise_(fault))
    agent.attend(None, AgentConfig(shell=True))
    assert course.done == ["menu", "menu", "boot-next"]


@pytest.mark.parametrize("fault", FAULTS)
def test_where_the_mailbox_fails_the_kernel_resets(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    monkeypatch.setattr("pykexec.kexec.leave.leave", lambda *_: raise_(fault))
    monkeypatch.setattr("pykexec._native.lib", Lib(done))
    ends.leave_for(object(), "boot-next")  # type: ignore[arg-type]
    assert done == [Lib.LINUX_REBOOT_CMD_RESTART]


class Lib:
    """What of the kernel leave_for() uses."""

    LINUX_REBOOT_CMD_RESTART = 0x1234567

    def __init__(self, done: list[int]) -> None:
        self.pk_reboot = done.append


class EnoughError(BaseException):
    """Ends the PID 1 of a test."""


def stop(*_: object) -> None:
    """What PID 1 comes to in the end."""
    raise EnoughError


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["os.fork", "os.waitpid", "_attempt"])
def test_pid_1_gives_the_machine_back_when_no_process_can_be_had(
    step: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(init, "set_up", lambda: True)
    monkeypatch.setattr(init, "_agent", lambda spent_s: None)
    monkeypatch.setattr(init, "_rescue", lambda: None)
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(init, "_give_up", stop)
    injected = inject(monkeypatch, init, step, fault, times=1000)
    with pytest.raises(EnoughError):
        init.main()
    assert tuple(pauses) == init.PAUSES_S
    assert injected.left < 1000


@pytest.mark.parametrize("fault", FAULTS)
def test_pid_1_goes_on_with_the_agent_after_a_fork_that_failed(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init, "set_up", lambda: True)
    monkeypatch.setattr(init, "_attempt", lambda step: step())
    monkeypatch.setattr(init, "_rescue", lambda: False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(init, "_agent", stop)
    inject(monkeypatch, init, "_attempt", fault)
    with pytest.raises(EnoughError):
        init.main()


DOORS = ["close_doors", "_settle_window"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("door", DOORS)
def test_pid_1_lets_nobody_in_where_a_door_stays_open(
    door: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("_mount", "_settle_window", "_open_console", "_set_hostname"):
        monkeypatch.setattr(init, step, lambda *_: "")
    for step in ("load_at_boot", "close_doors"):
        monkeypatch.setattr(init, step, list)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(init, "_give_up", stop)
    started: list[object] = []
    monkeypatch.setattr(init, "_attempt", started.append)
    inject(monkeypatch, init, door, fault)
    with pytest.raises(EnoughError):
        init.main()
    assert started == []


SET_UP = ["_mount", "load_at_boot", *DOORS, "_open_console", "_set_hostname"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", SET_UP)
def test_each_thing_that_pid_1_sets_up_is_tried(
    step: str, fault: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def does(name: str, result: object) -> Callable[..., object]:
        def do(*_: object) -> object:
            done.append(name)
            return result

        return do

    monkeypatch.setattr(init, "_mount", does("_mount", ""))
    monkeypatch.setattr(init, "load_at_boot", does("load_at_boot", []))
    monkeypatch.setattr(init, "close_doors", does("close_doors", []))
    monkeypatch.setattr(init, "_settle_window", does("_settle_window", ""))
    monkeypatch.setattr(init, "_open_console", does("_open_console", None))
    monkeypatch.setattr(init, "_set_hostname", does("_set_hostname", None))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    inject(monkeypatch, init, step, fault)
    assert init.set_up() == (step not in DOORS)
    missing = set(SET_UP) - {step} - set(done)
    assert not missing
    assert capfd.readouterr().err.startswith("init: ")


def test_a_line_of_the_log_needs_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "CONSOLE", "/dev/full")
    log.print_marker("agent", "ready")
