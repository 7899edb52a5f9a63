# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what is accepted, what each fault says, which file counts."""

from __future__ import annotations

import random

import pytest

from pykexec.config.agent import (
    AgentConfig,
    NetworkConfig,
    parse_config,
    resolve_config,
    resolve_network_config,
)
from pykexec.config.payload import PayloadConfig
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
bridges = ["tpm"]
native = false
[firmware]
drivers = ['\EFI\ext4.efi', "drivers/nic.efi", "https://h/a.efi"]
"""


def test_every_key_is_read() -> None:
    payload = PayloadConfig(
        "\\EFI\\debian\\grubx64.efi", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "quiet"
    )
    drivers = ("\\EFI\\ext4.efi", "drivers/nic.efi", "https://h/a.efi")
    wanted = AgentConfig(True, payload, "reset", 5, True, ("tpm",), native=False, drivers=drivers)
    assert parse_config(FULL, "a.toml") == wanted


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
WITH_CA = f'[network]\nca = """{PEM}"""\n'.encode()
NETWORK = b"""
interface = "52:54:00:12:34:56"
address = "10.0.0.5/24"
gateway = "10.0.0.1"
dns = ["10.0.0.2", "fd00::2"]
timeout_s = 5
total_s = 60
[payload]
url = "os/grub.efi"
sha256 = "%s"
""" % (b"AB" * 32)


def test_every_key_of_the_network_is_read() -> None:
    config = parse_config(WITH_CA + NETWORK, "a.toml")
    assert config.payload == PayloadConfig("os/grub.efi", is_remote=True, sha256="ab" * 32)
    mac, dns = "52:54:00:12:34:56", ("10.0.0.2", "fd00::2")
    assert config.network == NetworkConfig(PEM, mac, "10.0.0.5/24", "10.0.0.1", dns, 5, 60)


def test_an_empty_file_means_a_shell_and_no_payload() -> None:
    assert parse_config(b"", "a.toml") == AgentConfig(False, None, "agent", 0, True)


def test_with_a_payload_the_machine_stays_bootable_and_unattended() -> None:
    config = parse_config(b"[payload]\npath = '\\a.efi'", "a.toml")
    assert (config.failure_action, config.shell, config.timeout_s) == ("boot-next", False, 0)
    assert config.bridges == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("locked = 1", "locked: must be true or false"),
        ("agent.bridges = ['usb']", "agent.bridges: 'usb' is not one of block, net, tpm"),
        ("lokced = true", "lokced: unknown key"),
        ("payload = 'x'", "payload: must be a table"),
        ("[payload]", "payload.path: missing"),
        ("[payload]\npath = ''", "payload.path: missing"),
        ("[payload]\npath = 7", "payload.path: must be a string"),
        ("[payload]\npath = 'EFI/a.efi'", "payload.path: 'EFI/a.efi' is no path on a volume"),
        ("[payload]\npath = '\\a'\nvolume = false", "payload.volume: must be a string"),
        ("[payload]\npath = '\\a'\noptions = []", "payload.options: must be a string"),
        ("[payload]\npath = '\\a'\nsize = 1", "payload.size: unknown key"),
        ("[payload]\npath = '\\a'\nkind = 'xen'", "payload.kind: 'xen' is not one of efi, launch"),
        (
            "[payload]\nurl = 'xen.efi'\nkind = 'launch'\noptions = '-- loglvl=all'",
            "payload.options: a launch has none",
        ),
        (
            "[payload]\npath = '\\a'\nkind = 'launch'\n[windows]",
            "payload.kind: a launch is no boot manager of Windows'",
        ),
        (
            "[payload]\nurl = 'a.efi'\nkind = 'launch'\n[wim]\nwim = 'boot.wim'",
            "payload.kind: a launch is no boot manager of Windows'",
        ),
        (
            "[failure]\naction = 'explode'",
            "failure.action: 'explode' is not one of agent, firmware",
        ),
        ("[failure]\nwhen = 'now'", "failure.when: unknown key"),
        ("[agent]\ntimeout_s = -1", "agent.timeout_s: must be a number from 0 to 604800"),
        ("[agent]\ntimeout_s = 604801", "agent.timeout_s: must be a number from 0 to 604800"),
        (f"[network]\ntotal_s = 0x{'f' * 5000}", "network.total_s: must be a number from 0"),
        ("[attest]\nserver = 'https://s'\ntimeout_s = 999999", "attest.timeout_s: must be a"),
        (f"a = {'9' * 4301}", "not TOML: a number of too many digits"),
        (f"a = {'[' * 3000}", "not TOML: nested too deeply"),
        (f"{'a.' * 3000}b = 1", "a: unknown key"),
        (f"[payload]\nurl = 'http://s:{'9' * 4301}/'", "payload.url: "),
        ('[network]\nca = "/a\\u0000b"', "network.ca: "),
        ("[agent]\ntimeout_s = true", "agent.timeout_s: must be a number from 0 to 604800"),
        ("[agent]\ntimeout_s = 0.5", "agent.timeout_s: must be a number from 0 to 604800"),
        ("[agent]\nshell = 'yes'", "agent.shell: must be true or false"),
        ("[agent]\nnative = 'no'", "agent.native: must be true or false"),
        ("[nework]", "nework: unknown key"),
        ('"a\\n\\u001b[2J" = 1', "'a\\n\\x1b[2J': unknown key"),
        ("[payload]\nurl = 'ftp://h/a'", "payload.url: ftp://h/a: ftp is none of http"),
        ("[payload]\nurl = '../../a'", "payload.url: ../../a: leads above"),
        ("[payload]\nurl = 'a b'", "payload.url: 'a b': an address has printable ASCII"),
        ("[payload]\nurl = 'a'\npath = '\\a'", "payload.url: path and url exclude each other"),
        ("[payload]\nurl = 'a'\nvolume = 'x'", "payload.volume: unknown key"),
        ("[payload]\nurl = 'a'\nsha256 = 'abc'", "payload.sha256: must be 64 hexadecimal"),
        ("[network]\ntimeout_s = 'x'", "network.timeout_s: must be a number"),
        ("[network]\nca = 'x'", "network.ca: neither PEM certificates nor a path"),
        ("[network]\nca = '/none.pem'", "network.ca: /none.pem: No such file"),
        ("[network]\nca = '/dev/null'", "network.ca: /dev/null: not PEM"),
        ("[network]\naddress = '10.0.0.5'", "network.address: '10.0.0.5' has no prefix length"),
        ("[network]\naddress = '10.0.0.500/8'", "network.address: '10.0.0.500/8' does not"),
        ("[network]\ngateway = '10.0.0.1'", "network.gateway: needs an address"),
        ("[network]\ngateway = '10.0.0.1/8'", "network.gateway: '10.0.0.1/8' does not"),
        ("[network]\ndns = '10.0.0.1'", "network.dns: must be a list of strings"),
        ("[network]\ndns = ['x']", "network.dns: 'x' does not appear"),
        ("[network]\nmac = 'x'", "network.mac: unknown key"),
        ("[firmware]\ndrivers = '\\a'", "firmware.drivers: must be a list of strings"),
        ("[firmware]\ndrivers = ['../a']", "firmware.drivers: ../a: leads above"),
        ("[firmware]\ndrivers = ['']", "firmware.drivers: '': an address has printable"),
        ('[firmware]\ndrivers = ["\\\\a\\u0000"]', "firmware.drivers: '\\\\a\\x00' is no path"),
        ("= 1", "not TOML: Invalid statement"),
    ],
)
def test_a_fault_is_one_line_with_source_and_key(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), "agent.toml")
    assert str(caught.value).startswith(f"agent.toml: {fault}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"agent.toml: not TOML: 'utf-8' codec"):
        parse_config(b"\xc3\x28 = 1", "agent.toml")


def test_what_notepad_writes_is_read() -> None:
    text = "[agent]\r\ntimeout_s = 7\r\n"
    assert parse_config(text.encode("utf-8-sig"), "agent.toml").timeout_s == 7
    with pytest.raises(ConfigError, match=r"agent.toml: not TOML: UTF-16; it must be"):
        parse_config(text.encode("utf-16"), "agent.toml")


WORDS = [
    *(b"[payload]", b"[network]", b"[attest]", b"[agent]", b"[failure]", b"\n", b" = ", b"path"),
    *(b"url", b"ca", b"dns", b"timeout_s", b"server", b"'\\a'", b"'https://a'", b"'/dev/null'"),
    *(b"[" * 2000, b"9" * 5000, b"0x" + b"f" * 5000, b'"\\u0000"', b"'/a'", b"1e999", b"{", b"a."),
    *(
        b"1979-05-27T07:32:00Z",
        b"nan",
        b"''",
        b'"""',
        b",",
        b"\xff",
        b"\xef\xbb\xbf",
        b"]",
        b"true",
    ),
]


@pytest.mark.parametrize("seed", range(400))
def test_noise_is_a_configuration_or_an_error_of_its_own(seed: int) -> None:
    rng = random.Random(seed)
    data = b"".join(rng.choices(WORDS, k=rng.randrange(1, 12)))
    try:
        parse_config(data, "agent.toml")
    except ConfigError as error:
        assert str(error).startswith("agent.toml: ")


def test_an_override_has_no_file_read() -> None:
    """One of a device would not come to an end; nobody need trust who wrote it."""
    for path in ("/dev/null", "/none.pem"):
        with pytest.raises(
            ConfigError, match=r"network.ca: only the embedded configuration has one"
        ):
            resolve_config(b"", f"[network]\nca = '{path}'".encode())


DRIVERS = b"[firmware]\ndrivers = ['\\a.efi']"


def test_no_override_adds_code_to_the_firmware_or_takes_it_away() -> None:
    fault = "firmware.drivers: only the embedded configuration has any"
    with pytest.raises(ConfigError, match=f"^\\\\EFI.*agent.toml: {fault}"):
        resolve_config(b"", DRIVERS)
    with pytest.raises(ConfigError, match=f"^http://s/agent.toml: {fault}"):
        resolve_network_config(AgentConfig(), DRIVERS, "http://s/agent.toml")
    embedded = resolve_config(DRIVERS, None)
    for config in (resolve_config(DRIVERS, b""), resolve_network_config(embedded, b"", "s")):
        assert config.drivers == ("\\a.efi",)


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


ATTENDED = parse_config(b"[agent]\nshell = true", "embedded")
UNATTENDED = parse_config(b"[payload]\nurl = 'a'", "embedded")
SHELL = b"[agent]\nshell = true"


def test_a_servers_configuration_counts() -> None:
    config = resolve_network_config(ATTENDED, b"[payload]\nurl = 'b'", "http://s/agent.toml")
    assert config.payload == PayloadConfig("b", is_remote=True)


def test_a_server_opens_no_shell_that_the_embedded_configuration_does_not_allow() -> None:
    assert resolve_network_config(ATTENDED, SHELL, "s").shell
    assert not resolve_network_config(UNATTENDED, SHELL, "s").shell
    with pytest.raises(ConfigError, match=r"s: failure\.action: the embedded configuration allows"):
        resolve_network_config(UNATTENDED, b"[failure]\naction = 'shell'", "s")


def test_only_the_embedded_configuration_says_whom_to_trust() -> None:
    fault = r"network\.ca: only the embedded configuration"
    with pytest.raises(ConfigError, match=fault):
        resolve_network_config(AgentConfig(), WITH_CA, "s")
    with pytest.raises(ConfigError, match=fault):
        resolve_config(None, WITH_CA)
    pinned = parse_config(WITH_CA, "embedded")
    other = b"[network]\ntimeout_s = 3"
    kept = NetworkConfig(authorities=PEM, timeout_s=3)
    assert resolve_network_config(pinned, other, "s").network == kept
    assert resolve_config(WITH_CA, other).network == kept
