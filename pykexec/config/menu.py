# SPDX-License-Identifier: Apache-2.0
"""[menu] and [[entry]] of agent.toml: what a person may choose, and what is demanded of it.

What an entry needs is demanded of whoever chooses it, whatever else is configured:

attest    the machine is attested, though `attest.required` may be false
approval  and persons have approved this very boot
shell     who chooses it may as well have a shell: the boot is spent first, and given nothing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec.config import keys
from pykexec.config.payload import PayloadConfig, parse_payload
from pykexec.config.table import Table
from pykexec.errors import ConfigError

if TYPE_CHECKING:
    from pykexec.config.attest import AttestConfig

ENTRIES_MAX = 1000
NAME_MAX = 100
STARTED = ("efi", "windows", keys.LAUNCH)
"""Kinds of entries that start a payload."""
ATTEST, APPROVAL, SHELL = keys.NEEDS_CHOICES


@dataclass(frozen=True, slots=True)
class Entry:
    """What can be chosen. payload is what kinds STARTED start, None of the others.

    is_found: nobody has configured it, the firmware or a disk has it. number is then that of the
    firmware's boot option, which is started by a reset where payload is None.
    """

    name: str
    kind: str
    payload: PayloadConfig | None = None
    needs: tuple[str, ...] = ()
    is_found: bool = False
    number: int | None = None

    @property
    def spends(self) -> bool:
        """Is the boot to be spent before this is begun? What somebody found on a disk says may be
        anything, a shell too.
        """
        return SHELL in self.needs or self.is_found


@dataclass(frozen=True, slots=True)
class MenuConfig:
    """All of it. default is an entry's name, "" if somebody has to choose; offer says what else
    than entries is shown.
    """

    entries: tuple[Entry, ...] = ()
    default: str = keys.MENU_DEFAULT.default
    offer: tuple[str, ...] = keys.OFFER.default

    def entry(self, name: str) -> Entry | None:
        """The entry of that name."""
        return next((entry for entry in self.entries if entry.name == name), None)


def parse_menu(menu: Table, entries: list[Table]) -> MenuConfig:
    """Read [menu] and every [[entry]]; ConfigError names what is wrong."""
    if len(entries) > ENTRIES_MAX:
        raise entries[ENTRIES_MAX].fault(keys.NAME.name, f"more than {ENTRIES_MAX} entries")
    found: dict[str, Entry] = {}
    for table in entries:
        entry = _entry(table)
        if entry.name in found:
            raise table.fault(keys.NAME.name, f"there is another {entry.name!r}")
        found[entry.name] = entry
    return MenuConfig(tuple(found.values()), menu.take(keys.MENU_DEFAULT), menu.take(keys.OFFER))


def _entry(table: Table) -> Entry:
    name, kind, needs = table.take(keys.NAME), table.take(keys.KIND), table.take(keys.NEEDS)
    if not name:
        raise table.fault(keys.NAME.name, "missing")
    if not name.isprintable() or name != name.strip():
        fault = f"{name!r} has control characters, or blanks at an end"
        raise table.fault(keys.NAME.name, fault)
    if len(name) > NAME_MAX:
        raise table.fault(keys.NAME.name, f"more than {NAME_MAX} characters")
    if kind in STARTED:
        payload: PayloadConfig | None = parse_payload(table, kind == keys.LAUNCH)
    else:
        payload = None
        for key in (keys.PATH, keys.URL, keys.VOLUME, keys.OPTIONS, keys.SHA256):
            if table.take(key):
                raise table.fault(key.name, f"an entry of the kind {kind} has none")
        if {ATTEST, APPROVAL} & set(needs):
            raise table.fault(keys.NEEDS.name, f"the kind {kind} starts nothing to attest")
    if kind == SHELL:
        needs = (SHELL,)
    if SHELL in needs and len(set(needs)) > 1:
        fault = "a boot that is spent for a shell is not attested: shell stands alone"
        raise table.fault(keys.NEEDS.name, fault)
    table.refuse_rest()
    return Entry(name, kind, payload, tuple(dict.fromkeys(needs)))


def merge_menus(
    embedded: MenuConfig | None, found: MenuConfig | None, source: str
) -> MenuConfig | None:
    """The embedded entries as they are, and behind them those that source adds.

    ConfigError for one of the same name: what the embedded configuration demands of an entry is
    demanded whatever else says.
    """
    if embedded is None or found is None:
        return embedded or found
    for entry in found.entries:
        if embedded.entry(entry.name):
            fault = f"entry {entry.name!r}: the embedded configuration has its own"
            raise ConfigError(f"{source}: {fault}")
    entries = embedded.entries + found.entries
    if len(entries) > ENTRIES_MAX:
        raise ConfigError(
            f"{source}: entry: more than {ENTRIES_MAX} entries with the embedded ones"
        )
    offer = tuple(dict.fromkeys(embedded.offer + found.offer))
    return MenuConfig(entries, found.default or embedded.default, offer)


def check_menu(menu: MenuConfig, shell: bool, attest: AttestConfig | None, source: str) -> None:
    """ConfigError for what could never be carried out; shell and attest are what is in force."""

    def fault(where: str, text: str) -> ConfigError:
        return ConfigError(f"{source}: {where}: {text}")

    for entry in menu.entries:
        where = f"entry {entry.name!r}: {keys.NEEDS.name}"
        if entry.spends and not shell:
            raise fault(where, "agent.shell does not allow a shell")
        if {ATTEST, APPROVAL} & set(entry.needs) and attest is None:
            raise fault(where, "there is no [attest]")
        if APPROVAL in entry.needs and attest and not attest.approval_s:
            raise fault(where, "attest.approval_s says that nobody approves")
    if menu.offer and attest and not shell:
        text = "what is found spends the boot as a shell does, which agent.shell does not allow"
        raise fault(f"menu.{keys.OFFER.name}", text)
    if not menu.default:
        return
    default = menu.entry(menu.default)
    if default is None:
        raise fault(f"menu.{keys.MENU_DEFAULT.name}", f"there is no entry {menu.default!r}")
    if default.spends:
        raise fault(f"menu.{keys.MENU_DEFAULT.name}", "a shell is given to who has chosen it alone")
