# SPDX-License-Identifier: Apache-2.0
"""[menu] and [[entry]]: what is accepted, what each fault says, what an override cannot take."""

from __future__ import annotations

import pytest

from pykexec.config.agent import (
    AgentConfig,
    parse_config,
    resolve_config,
    resolve_network_config,
)
from pykexec.config.menu import Entry, MenuConfig
from pykexec.config.payload import PayloadConfig
from pykexec.errors import ConfigError

ATTEST = "[attest]\nserver = 'https://s'\n"
FULL = (
    ATTEST
    + r"""
[menu]
default = "Debian"
offer = ["firmware", "disks"]
[agent]
shell = true
timeout_s = 5
[[entry]]
name = "Debian"
path = '\EFI\debian\grubx64.efi'
volume = "ESP"
options = "quiet"
sha256 = "%s"
needs = ["attest", "approval"]
[[entry]]
name = "Windows"
kind = "windows"
path = '\EFI\Microsoft\Boot\bootmgfw.efi'
[[entry]]
name = "Rescue"
url = "rescue.efi"
needs = ["shell"]
[[entry]]
name = "Shell"
kind = "shell"
[[entry]]
name = "Setup"
kind = "firmware"
"""
    % ("AB" * 32)
)


def test_every_key_is_read() -> None:
    debian = PayloadConfig(r"\EFI\debian\grubx64.efi", "ESP", "quiet", sha256="ab" * 32)
    windows = PayloadConfig(r"\EFI\Microsoft\Boot\bootmgfw.efi")
    rescue = PayloadConfig("rescue.efi", is_remote=True)
    entries = (
        Entry("Debian", "efi", debian, ("attest", "approval")),
        Entry("Windows", "windows", windows),
        Entry("Rescue", "efi", rescue, ("shell",)),
        Entry("Shell", "shell", None, ("shell",)),
        Entry("Setup", "firmware"),
    )
    wanted = MenuConfig(entries, "Debian", ("firmware", "disks"))
    assert parse_config(FULL.encode(), "a.toml").menu == wanted


def entry(name: str = "a", more: str = "") -> str:
    """One that starts something."""
    return f"[[entry]]\nname = '{name}'\npath = '\\{name}.efi'\n{more}\n"


def test_a_menu_makes_the_boot_unattended() -> None:
    for text in (entry(), "[menu]\n"):
        config = parse_config(text.encode(), "a.toml")
        assert (config.failure_action, config.shell, config.bridges) == ("boot-next", False, ())


def test_a_thousand_entries_are_read() -> None:
    text = "".join(entry(str(number)) for number in range(1000))
    menu = parse_config(text.encode(), "a.toml").menu
    assert menu and len(menu.entries) == 1000
    with pytest.raises(ConfigError, match=r"^a.toml: entry\[1000\].name: more than 1000 entries"):
        parse_config((text + entry("x")).encode(), "a.toml")


SHELL = "[agent]\nshell = true\n"
FAULTS = {
    "no array": ("[entry]\nname = 'a'", "entry: must be tables, [[entry]]"),
    "no tables": ("entry = [1]", "entry: must be tables"),
    "no name": ("[[entry]]\npath = '\\a'", "entry[0].name: missing"),
    "no path": ("[[entry]]\nname = 'a'", "entry[0].path: missing"),
    "one name for two": (entry() + entry("b") + entry(), "entry[2].name: there is another 'a'"),
    "escape in a name": (
        '[[entry]]\nname = "a\\u001b[2J"\npath = "\\\\a"',
        "entry[0].name: 'a\\x1b[2J' has control characters",
    ),
    "two lines": (
        '[[entry]]\nname = "a\\nb"\npath = "\\\\a"',
        "entry[0].name: 'a\\nb' has control",
    ),
    "direction": ('[[entry]]\nname = "\\u202ea"\npath = "\\\\a"', "entry[0].name: '\\u202ea' has"),
    "blanks around": (entry(" a"), "entry[0].name: ' a' has control characters, or blanks"),
    "a long name": (entry("a" * 101), "entry[0].name: more than 100 characters"),
    "kind": (entry("a", "kind = 'iso'"), "entry[0].kind: 'iso' is not one of efi, windows"),
    "needs": (entry("a", "needs = ['luck']"), "entry[0].needs: 'luck' is not one of attest"),
    "unknown": (entry("a", "colour = 1"), "entry[0].colour: unknown key"),
    "unknown of menu": ("[menu]\ncolour = 1", "menu.colour: unknown key"),
    "digest": (entry("a", "sha256 = 'ab'"), "entry[0].sha256: must be 64 hexadecimal digits"),
    "address": (entry("a", "url = 'ftp://h/a'"), "entry[0].url: path and url exclude"),
    "a shell of a file": (
        SHELL + entry("a", "kind = 'shell'"),
        "entry[0].path: an entry of the kind shell has none",
    ),
    "attested reset": (
        "[[entry]]\nname = 'r'\nkind = 'reset'\nneeds = ['attest']",
        "entry[0].needs: the kind reset starts nothing to attest",
    ),
    "shell and attest": (
        ATTEST + SHELL + entry("a", "needs = ['shell', 'attest']"),
        "entry[0].needs: a boot that is spent for a shell is not attested",
    ),
    "payload too": (entry() + "[payload]\npath = '\\a'", "payload: there is a menu: an entry"),
    "wim too": (entry() + "[wim]\nwim = 'a'", "wim.wim: there is no payload"),
    "no such default": (entry() + "[menu]\ndefault = 'b'", "menu.default: there is no entry 'b'"),
    "default shell": (
        SHELL + "[menu]\ndefault = 's'\n[[entry]]\nname = 's'\nkind = 'shell'",
        "menu.default: a shell is given to who has chosen it alone",
    ),
    "no shell": (entry("a", "needs = ['shell']"), "entry 'a': needs: agent.shell does not allow"),
    "nobody attests": (entry("a", "needs = ['attest']"), "entry 'a': needs: there is no [attest]"),
    "nobody approves": (
        ATTEST + "approval_s = 0\n" + entry("a", "needs = ['approval']"),
        "entry 'a': needs: attest.approval_s says that nobody approves",
    ),
    "what is found, attested": (
        ATTEST + "[menu]\noffer = ['disks']",
        "menu.offer: what is found spends the boot as a shell does",
    ),
    "what is found": ("[menu]\noffer = ['floppies']", "menu.offer: 'floppies' is not one of"),
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_one_line_with_entry_and_key(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), "agent.toml")
    assert str(caught.value).startswith(f"agent.toml: {fault}")
    assert "\n" not in str(caught.value)


EMBEDDED = (
    ATTEST
    + SHELL
    + entry("Debian", f"sha256 = '{'ab' * 32}'\nneeds = ['attest']")
    + "[menu]\ndefault = 'Debian'\noffer = ['disks']\n"
)


def from_volume(override: str) -> AgentConfig:
    return resolve_config(EMBEDDED.encode(), override.encode(), "s")


def from_server(override: str) -> AgentConfig:
    embedded = parse_config(EMBEDDED.encode(), "embedded")
    return resolve_network_config(embedded, override.encode(), "s")


def both(override: str) -> list[AgentConfig]:
    """What counts with an override, beside the image and from a server."""
    return [from_volume(override), from_server(override)]


def refused(override: str) -> str:
    """The fault of an override, which is the same wherever it came from."""
    faults = set()
    for resolve in (from_volume, from_server):
        with pytest.raises(ConfigError) as caught:
            resolve(override)
        faults.add(str(caught.value))
    (fault,) = faults
    return fault


@pytest.mark.parametrize("override", [SHELL, "[agent]\ntimeout_s = 3\nshell = true"])
def test_embedded_entries_stay_whatever_overrides_them(override: str) -> None:
    embedded = parse_config(EMBEDDED.encode(), "embedded").menu
    assert [config.menu for config in both(override)] == [embedded] * 2


def test_an_override_that_allows_no_shell_cannot_have_what_is_found() -> None:
    assert refused("").startswith("s: menu.offer: what is found spends the boot")


def test_an_override_adds_entries_behind_the_embedded_ones() -> None:
    added = SHELL + entry("Memory test") + "[menu]\ndefault = 'Memory test'\noffer = ['firmware']"
    for config in both(added):
        assert config.menu
        assert [each.name for each in config.menu.entries] == ["Debian", "Memory test"]
        assert config.menu.default == "Memory test"
        assert config.menu.offer == ("disks", "firmware")


@pytest.mark.parametrize(
    "more", ["", "needs = []", "sha256 = ''", f"sha256 = '{'cd' * 32}'", "needs = ['attest']"]
)
def test_no_override_has_an_embedded_entry_anew(more: str) -> None:
    fault = refused(SHELL + entry("Debian", more))
    assert fault == "s: entry 'Debian': the embedded configuration has its own"


def test_no_override_has_a_payload_beside_an_embedded_menu() -> None:
    assert refused(SHELL + "[payload]\npath = '\\a'").startswith("s: payload: there is a menu")


def test_what_an_override_demands_is_checked_with_what_is_in_force() -> None:
    assert both(SHELL + entry("b", "needs = ['attest']"))
    assert refused(entry("b", "needs = ['shell']")).startswith("s: entry 'b': needs: agent.shell")
    thousand = "".join(entry(str(number)) for number in range(1000))
    assert refused(SHELL + thousand).startswith("s: entry: more than 1000 entries")


def test_a_server_gives_no_shell_by_an_entry() -> None:
    embedded = parse_config(entry().encode(), "embedded")
    with pytest.raises(ConfigError, match=r"s: entry 'b': needs: agent.shell does not allow"):
        resolve_network_config(embedded, (SHELL + entry("b", "needs = ['shell']")).encode(), "s")
