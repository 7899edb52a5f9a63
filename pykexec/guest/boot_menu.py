# SPDX-License-Identifier: Apache-2.0
"""The menu that agent.toml has: offered, chosen from, and what was chosen carried out.

Choosing spends nothing where all of an entry is measured, that is in a configuration. The boot is
spent before a shell is given, or options that somebody has changed or that come from a disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pykexec.config.agent import AgentConfig, WindowsConfig
from pykexec.config.menu import APPROVAL, ATTEST, SHELL, Entry
from pykexec.errors import ConfigError
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.ends import leave_for, may_enter, noted
from pykexec.guest.watch import Where
from pykexec.log import printable
from pykexec.menu.state import Chosen, Menu, Row, begin
from pykexec.steps import attempt

CHOSEN = "chosen in the menu"
ACTIONS = {
    SHELL: "rescue shell",
    "firmware": "firmware menu",
    "boot-next": "next boot entry",
    "reset": "reset",
}
"""What is offered besides where a shell is allowed, by the kinds of entries."""


def run_menu(mailbox: Mailbox, config: AgentConfig, again: bool) -> bool:
    """Have somebody choose, or the default started; again: one has come back, nothing is started
    unless somebody chooses it.

    Comes back where the default could not be started with nobody there, false, or where nobody can
    choose, true.
    """
    wanted = config.menu
    if wanted is None:
        return False
    session = Session(mailbox, config)
    default = None if again else wanted.entry(wanted.default)
    if default and not (config.timeout_s and os.isatty(0)):
        time.sleep(config.timeout_s)
        session.carry_out(default)
        return False
    entries = offered(mailbox, config)
    index = wanted.entries.index(default) if default else None
    message = noted() if again else ""
    while os.isatty(0):
        menu = begin(rows(entries, config), index, config.timeout_s, message)
        found = attempt("pykexec: menu", partial(_ask, mailbox, config, entries, menu), None)
        chosen, by_time = (found.chosen, found.left_s == 0) if found else (None, False)
        if chosen is None and index is not None:
            chosen, by_time = Chosen(index), True  # Nobody could be asked.
        if chosen is None:
            time.sleep(1)  # Do not spin.
            continue
        entry = entries[chosen.row]
        print(f"chosen: {printable(entry.name)}", flush=True)
        message = session.carry_out(entry, chosen.options)
        if by_time:
            return False
        index = None
    return True


def offered(mailbox: Mailbox, config: AgentConfig) -> tuple[Entry, ...]:
    """What is configured, what is found where that is wanted, and what goes with a shell."""
    menu = config.menu
    if menu is None:
        return ()
    entries = [*menu.entries]
    if "firmware" in menu.offer:
        entries += attempt("pykexec: boot options", _of_firmware, [])
    if "disks" in menu.offer:
        entries += attempt("pykexec: disks", partial(_of_disks, mailbox), [])
    kinds = {entry.kind for entry in menu.entries}
    if config.shell:
        others = {kind: name for kind, name in ACTIONS.items() if kind not in kinds}
        needs = {SHELL: (SHELL,)}
        entries += [Entry(name, kind, None, needs.get(kind, ())) for kind, name in others.items()]
    return tuple(_named_apart(entries))


def _of_firmware() -> list[Entry]:
    from pykexec.menu.firmware import firmware_entries

    return firmware_entries()


def _of_disks(mailbox: Mailbox) -> list[Entry]:
    from pykexec.menu.disks import disk_entries
    from pykexec.windows.disks import firmware_disks

    return disk_entries(firmware_disks(mailbox), print)


def _named_apart(entries: Sequence[Entry]) -> list[Entry]:
    """Names of what is found are anybody's: shown as one line, and none like another one's."""
    names: set[str] = set()
    apart = []
    for entry in entries:
        name = printable(entry.name) or "?"
        number = 1
        while name in names:
            number += 1
            name = f"{printable(entry.name)} ({number})"
        names.add(name)
        apart.append(replace(entry, name=name))
    return apart


def rows(entries: Sequence[Entry], config: AgentConfig) -> tuple[Row, ...]:
    """What is listed of them. Options may be changed where a shell is allowed."""
    return tuple(
        Row(
            entry.name,
            _note(entry, config),
            _options(entry) if config.shell else None,
        )
        for entry in entries
    )


def _options(entry: Entry) -> str | None:
    """Those that may be changed: a launch has none."""
    payload = entry.payload
    return payload.options if payload and not payload.is_launch else None


def _note(entry: Entry, config: AgentConfig) -> str:
    notes = []
    if entry.number is not None and entry.payload is None:
        notes.append("by a reset")
    if entry.spends and config.attest:
        notes.append("no secrets")
    elif APPROVAL in entry.needs:
        notes.append("persons approve")
    elif ATTEST in entry.needs:
        notes.append("attested")
    return ", ".join(notes)


def _ask(mailbox: Mailbox, config: AgentConfig, entries: Sequence[Entry], menu: Menu) -> Menu:
    from pykexec.guest.console import mirror, sits_at_firmware
    from pykexec.guest.seat import sit
    from pykexec.guest.watch import has_second_seat
    from pykexec.menu.describe import description

    announce = ""
    if not sits_at_firmware():
        announce = description(entries, menu, config.attest is not None)
    if not attempt("pykexec: console", partial(has_second_seat, mailbox), False):
        return sit(menu, announce, lambda: "")
    mirror("press a key on this machine's keyboard for the menu\n")
    return sit(menu, announce, partial(_elsewhere, mailbox))


def _elsewhere(mailbox: Mailbox) -> Where:
    from pykexec.guest.console import move_to_firmware
    from pykexec.guest.watch import where_typed

    where = where_typed(mailbox)
    if where == "keyboard":
        attempt("pykexec: console", move_to_firmware, None)
    return where


@dataclass(slots=True)
class Session:
    """One life of the menu: a boot is spent once in it."""

    mailbox: Mailbox
    config: AgentConfig
    is_spent: bool = False

    def carry_out(self, entry: Entry, options: str | None = None) -> str:
        """Do what was chosen, with options that somebody has changed or None; why it came to
        nothing.
        """
        if options is not None and not self.config.shell:
            return "options cannot be changed: agent.shell does not allow a shell"
        if (entry.spends or options is not None) and not self._may_enter():
            return "not begun: this boot attests, and could not be spent before"
        if entry.payload:
            return self._start(entry, options)
        if entry.number is not None:
            return self._boot(entry.number)
        if entry.kind == SHELL:
            from pykexec.guest.menu import shell

            shell()
            return ""
        leave_for(self.mailbox, entry.kind, CHOSEN)
        return "the machine could not be given back"

    def _may_enter(self) -> bool:
        self.is_spent = self.is_spent or may_enter(self.mailbox, self.config)
        return self.is_spent

    def _start(self, entry: Entry, options: str | None) -> str:
        from pykexec.guest.payload import start_payload

        start_payload(self.mailbox, started(self.config, entry, options))
        return noted()

    def _boot(self, number: int) -> str:
        from pykexec.efi.variables import name_boot_next

        try:
            name_boot_next(number)
        except OSError as error:
            return f"BootNext: {error.strerror}"
        leave_for(self.mailbox, "reset", CHOSEN)
        return "the machine could not be reset"


def started(config: AgentConfig, entry: Entry, options: str | None = None) -> AgentConfig:
    """The configuration that starts an entry, as one with that payload would be.

    ConfigError where it demands what the configuration does not have.
    """
    payload, attest = entry.payload, config.attest
    if payload and options is not None:
        payload = replace(payload, options=options)
    if entry.spends or options is not None:
        attest = None  # It is spent, and would be given nothing.
    elif {ATTEST, APPROVAL} & set(entry.needs):
        if attest is None:
            raise ConfigError(f"entry {entry.name!r}: there is no [attest]")
        attest = replace(attest, required=True, approval=APPROVAL in entry.needs)
    is_windows = entry.kind == "windows"
    windows = (config.windows or WindowsConfig()) if is_windows else None
    return replace(config, payload=payload, attest=attest, windows=windows)
