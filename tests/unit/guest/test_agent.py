# SPDX-License-Identifier: Apache-2.0
"""What the agent decides, what PID 1 survives, and what the command line ends with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pykexec.abi import pack
from pykexec.config.agent import AgentConfig
from pykexec.config.menu import MenuConfig
from pykexec.config.payload import PayloadConfig
from pykexec.errors import FirmwareError, FormatError, KexecError
from pykexec.firmware.info import FirmwareInfo, decode_info
from pykexec.guest.agent import decide
from pykexec.guest.attest import is_remembered, remember, spend_for_a_person
from pykexec.guest.ends import final_action, may_enter, without_shell
from pykexec.linux.modules import load, load_at_boot
from pykexec.log import describe, marker

PAYLOAD = PayloadConfig("\\EFI\\a.efi")
OFFERING = AgentConfig(menu=MenuConfig(), shell=False)
UNATTENDED = AgentConfig(payload=PAYLOAD, failure_action="boot-next", shell=False)
ATTENDED = AgentConfig(payload=PAYLOAD, shell=True)


def info(nr_runs: int = 0, flags: int = 0) -> FirmwareInfo:
    """What the stub says after so many round trips."""
    return decode_info(pack("struct pk_info", flags=flags, outcome={"nr_runs": nr_runs}))


@pytest.mark.parametrize(
    ("config", "firmware", "step"),
    [
        (UNATTENDED, info(), "payload"),
        (ATTENDED, info(), "payload"),
        (UNATTENDED, info(nr_runs=1), "fail"),
        (ATTENDED, info(nr_runs=1), "shell"),
        (UNATTENDED, info(flags=8), "shell"),
        (AgentConfig(), info(), "shell"),
        (AgentConfig(shell=False), info(), "fail"),
        (ATTENDED, None, "shell"),
        (UNATTENDED, None, "fail"),
        (OFFERING, info(), "menu"),
        (OFFERING, info(nr_runs=1), "menu"),
        (OFFERING, info(flags=8), "shell"),
        (OFFERING, None, "fail"),
    ],
)
def test_the_agent_decides(config: AgentConfig, firmware: FirmwareInfo | None, step: str) -> None:
    assert decide(config, firmware) == step


def test_a_failing_agent_does_not_start_itself_again() -> None:
    assert final_action(AgentConfig(failure_action="agent", shell=False)) == "boot-next"
    assert final_action(AgentConfig(failure_action="reset")) == "reset"


def test_modules_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ko"
    broken.write_bytes(b"no module")
    listed = tmp_path / "modules"
    listed.write_text(f"boot two /nonexistent.ko {broken}\ndemand other {broken}\n")
    first, second = load_at_boot(str(listed))
    assert first == "/nonexistent.ko: No such file or directory"
    assert second.startswith(f"{broken}: ")


def test_no_list_of_modules_means_none(tmp_path: Path) -> None:
    assert load_at_boot(str(tmp_path / "modules")) == []


def test_a_module_that_the_image_lacks_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "modules"
    listed.write_text("demand builtin\n")
    assert load("builtin", str(listed)) == []
    assert load("tun", str(listed)) == ["tun: this image has no such kernel module"]


def test_a_marker_has_three_parts_behind_its_prefix() -> None:
    assert marker("agent", "ready") == "PK:agent:ready:0"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FormatError("a.efi: no\nPE"), "a.efi: no PE"),
        (KexecError(1, "kexec_file_load: denied", "a.efi"), "a.efi: kexec_file_load: denied"),
        (FirmwareError(2, "NOT_FOUND", "\\a.efi", 14), "\\a.efi: NOT_FOUND"),
    ],
)
def test_an_error_is_one_line_with_the_file_first(error: Exception, line: str) -> None:
    assert describe(error) == line


def pykexec(*words: str) -> tuple[int, str, str]:
    """Exit code and both outputs of the command line."""
    command = [sys.executable, "-m", "pykexec", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_help_lists_the_verbs_and_the_exit_codes() -> None:
    code, out, _ = pykexec("--help")
    assert code == 0
    assert "verify-firmware" in out
    assert "exit codes: 0 done" in out


def test_status_on_a_normal_machine_says_why_and_is_no_failure() -> None:
    code, out, err = pykexec("status")
    assert (code, err) == (0, "")
    assert out.startswith("not under live boot services: ")


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["frobnicate"], 2, "invalid choice: 'frobnicate'"),
        (["exec"], 2, "the following arguments are required: PATH"),
        (["exec", "x.efi", "--via", "magic"], 2, "invalid choice: 'magic'"),
        (["exec", "x.efi", "--via", "leave", "--load-only"], 2, "--load-only"),
        (["exec", "x.efi"], 8, "pykexec: x.efi: cannot be started from here: "),
        (
            ["exec", "/nonexistent.efi", "--via", "boot-next"],
            3,
            "pykexec: /nonexistent.efi: No such",
        ),
        (["exec", os.devnull, "--via", "boot-next"], 3, "pykexec: /dev/null: not a regular file"),
        (["leave"], 8, "pykexec: PykexecMailbox: "),
        (["attest"], 2, "pykexec: --server: missing"),
        (["attest", "--server", "http://s"], 2, "pykexec: http://s: evidence and secrets go by"),
        (["memmap", "--json"], 8, "pykexec: PykexecMailbox: "),
        (["verify-firmware"], 8, "pykexec: PykexecMailbox: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words: list[str], code: int, fault: str) -> None:
    found, out, err = pykexec(*words)
    assert (found, out) == (code, "")
    assert fault in err
    assert err.startswith("usage:") or err.count("\n") == 1


def test_a_verb_does_not_import_the_others() -> None:
    script = "import sys, pykexec.cli; pykexec.cli.main(['status']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = out.stdout.split()
    assert "pykexec.cli.status" in modules
    assert not {"pykexec.cli.exec", "pykexec.cli.build", "pykexec.kexec"} & set(modules)


def test_nobody_is_let_in_where_the_boot_cannot_be_spent(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert not spend_for_a_person(None, "/nonexistent/tpm")
    assert capfd.readouterr().err.startswith("pykexec: no shell: /nonexistent/tpm: No such file")


def test_a_machine_that_does_not_attest_lets_people_in() -> None:
    assert may_enter(None, AgentConfig())


def test_a_crash_does_not_make_the_boot_forget_that_it_attests(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "attests")
    assert not is_remembered(path)
    remember(path)
    assert is_remembered(path)


def test_an_agent_that_lets_nobody_in_does_not_start_linux_for_a_shell() -> None:
    assert without_shell(AgentConfig(failure_action="shell")) == "boot-next"
    assert without_shell(AgentConfig(failure_action="reset")) == "reset"
    assert without_shell(AgentConfig(failure_action="agent")) == "boot-next"
