# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what is accepted, what each fault says, which file counts."""

from __future__ import annotations

import pytest

from pykexec.config import AgentConfig, PayloadConfig, parse_config, resolve_config
from pykexec.errors import ConfigError

FULL = rb"""
locked = true
[payload]
path = "\\EFI\\debian\\grubx64.efi"
volume = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
options = "quiet"
[failure]
action = "reset"
[agent]
timeout_s = 5
shell = true
"""


def test_every_key_is_read() -> None:
    payload = PayloadConfig(
        "\\EFI\\debian\\grubx64.efi", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "quiet"
    )
    assert parse_config(FULL, "a.toml") == AgentConfig(True, payload, "reset", 5, True)


def test_an_empty_file_means_a_shell_and_no_payload() -> None:
    assert parse_config(b"", "a.toml") == AgentConfig(False, None, "agent", 0, True)


def test_with_a_payload_the_machine_stays_bootable_and_unattended() -> None:
    config = parse_config(b"[payload]\npath = '\\a.efi'", "a.toml")
    assert (config.failure_action, config.shell, config.timeout_s) == ("boot-next", False, 0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("locked = 1", "locked: must be true or false"),
        ("lokced = true", "lokced: unknown key"),
        ("payload = 'x'", "payload: must be a table"),
        ("[payload]", "payload.path: missing"),
        ("[payload]\npath = ''", "payload.path: missing"),
        ("[payload]\npath = 7", "payload.path: must be a string"),
        ("[payload]\npath = 'EFI/a.efi'", "payload.path: 'EFI/a.efi' is no path on a volume"),
        ("[payload]\npath = '\\a'\nvolume = false", "payload.volume: must be a string"),
        ("[payload]\npath = '\\a'\noptions = []", "payload.options: must be a string"),
        ("[payload]\npath = '\\a'\nsize = 1", "payload.size: unknown key"),
        (
            "[failure]\naction = 'explode'",
            "failure.action: 'explode' is not one of agent, firmware",
        ),
        ("[failure]\nwhen = 'now'", "failure.when: unknown key"),
        ("[agent]\ntimeout_s = -1", "agent.timeout_s: must be a number, 0 or more"),
        ("[agent]\ntimeout_s = true", "agent.timeout_s: must be a number, 0 or more"),
        ("[agent]\ntimeout_s = 0.5", "agent.timeout_s: must be a number, 0 or more"),
        ("[agent]\nshell = 'yes'", "agent.shell: must be true or false"),
        ("[network]", "network: unknown key"),
        ("= 1", "not TOML: Invalid statement"),
    ],
)
def test_a_fault_is_one_line_with_source_and_key(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), "agent.toml")
    assert str(caught.value).startswith(f"agent.toml: {fault}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"agent.toml: not TOML"):
        parse_config(b"\xff\xfe", "agent.toml")


def test_the_override_counts() -> None:
    assert resolve_config(b"[agent]\ntimeout_s = 1", b"[agent]\ntimeout_s = 2").timeout_s == 2


def test_a_locked_configuration_is_not_overridden() -> None:
    assert resolve_config(FULL, b"[agent]\ntimeout_s = 9").timeout_s == 5


def test_a_locked_configuration_does_not_even_read_the_override() -> None:
    assert resolve_config(FULL, b"nonsense = ").locked


def test_without_any_file_the_defaults_count() -> None:
    assert resolve_config(None, None) == AgentConfig()


def test_a_faulty_override_names_itself() -> None:
    with pytest.raises(ConfigError, match=r"^\\EFI\\pykexec\\agent.toml: x: unknown key"):
        resolve_config(None, b"x = 1")
