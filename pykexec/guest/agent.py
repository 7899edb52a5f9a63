# SPDX-License-Identifier: Apache-2.0
"""The agent: shows where it runs, then starts the payload that is configured, or asks.

A step that fails is a line. What only informs or helps is left out then; what decides falls back to
what grants less; and where the payload cannot be started the configured failure action is taken.
"""

from __future__ import annotations

import os
import time
from functools import partial

from pykexec.config.agent import (
    CERTIFY_PATH,
    EMBEDDED_PATH,
    OVERRIDE_MAX,
    OVERRIDE_PATH,
    AgentConfig,
    parse_config,
    read_embedded,
    resolve_config,
)
from pykexec.errors import NotResidentError
from pykexec.firmware import native
from pykexec.firmware.info import FirmwareInfo, read_info
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.ends import final_action, leave_for, may_enter, note, without_shell
from pykexec.log import marker
from pykexec.steps import attempt, on_stderr, words

BRIDGES_NEED = 48 << 20  # bytes: three processes, and a payload beside them

NOTHING_GRANTED = AgentConfig(failure_action="boot-next", shell=False)
"""What is in force where the embedded configuration cannot be had."""
_PAUSES_S = (0.1, 0.5, 1.0)

# What the agent does next.
SHELL = "shell"
PAYLOAD = "payload"
MENU = "menu"
FAIL = "fail"


def run(spent_s: float) -> None:
    """One life of the agent; spent_s is the processor time that PID 1 took before it."""
    mailbox, info = _connect()
    if mailbox:
        attempt("pykexec: summary", partial(show, mailbox), None)
    # process_time() starts anew in a fork.
    print(marker("agent", "time", round((spent_s + time.process_time()) * 1000)))
    print(marker("agent", "uptime", round(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)))
    print(marker("agent", "ready"), flush=True)
    if mailbox and info and os.path.exists(CERTIFY_PATH):
        attempt("pykexec: certify", partial(_certify, mailbox, info), None)
        leave_for(mailbox, "firmware")
        return
    if mailbox and info:
        attempt("pykexec: own image", partial(begin_trial, mailbox, info), None)
    config = load_config(mailbox, info)
    attempt("pykexec: native", partial(native.allow, config.native), None)
    if config.attest and not attempt("pykexec: attestation", _remember, False):
        # Should the agent crash, somebody might be let in who must not be.
        leave_for(mailbox, without_shell(config), "nobody would know that this boot attests")
        return
    step = decide(config, info)
    if mailbox:
        attempt("pykexec: bridges", partial(start_bridges, config), None)
    if info and info.accident:
        print(f"the last start ended by a reset: {info.accident}")
    attempt("pykexec: last end", partial(tell_last_end, info), None)
    if step == PAYLOAD and mailbox:
        start_unattended(mailbox, config)
    elif step == MENU and mailbox and info:
        offer_menu(mailbox, config, again=bool(info.outcome.nr_runs))
    elif step == FAIL:
        fail(mailbox, config)
    else:
        attend(mailbox, config)


def tell_last_end(info: FirmwareInfo | None) -> None:
    """Of the Linux or payload before this one; else of the last start that ended in a fault."""
    if info and info.outcome.nr_runs:
        print(f"last end: {info.outcome}")
        note(str(info.outcome))
        return
    from pykexec.firmware.last_end import read_last_end

    if last := read_last_end():
        print(f"last end: {last}")


def begin_trial(mailbox: Mailbox, info: FirmwareInfo) -> None:
    """If this is the first boot of an update: that its agent is up; else how that one ended."""
    from pykexec.guest.own_image import begin

    begin(mailbox, info)


def _certify(mailbox: Mailbox, info: FirmwareInfo) -> None:
    from pykexec.guest.certify import certify

    certify(mailbox, info)


def _remember() -> bool:
    from pykexec.guest.attest import remember

    remember()
    return True


def start_bridges(config: AgentConfig) -> None:
    """Have the configured bridges started beside what the agent does; say what there is none of."""
    if not config.bridges:
        return
    from pykexec.bridge.supervisor import begin
    from pykexec.memory import available_memory

    free = available_memory()
    if free < BRIDGES_NEED:
        print(f"bridges: not started, {free >> 20} MiB of memory are too few for them")
        return
    begin(*config.bridges)


def decide(config: AgentConfig, info: FirmwareInfo | None) -> str:
    """Payload, menu, shell, or the failure action.

    A Linux that was started again after a payload must not start it once more:
    that would go on for ever.
    """
    if info and info.shell:
        return SHELL
    if info and config.menu:
        return MENU
    if info and config.payload and not info.outcome.nr_runs:
        return PAYLOAD
    return SHELL if config.shell else FAIL


def _connect() -> tuple[Mailbox | None, FirmwareInfo | None]:
    for pause_s in _PAUSES_S:
        try:
            mailbox = Mailbox()
            return mailbox, read_info(mailbox)
        except NotResidentError as error:
            print(f"not under live boot services: {error.strerror}")
            break
        except Exception as error:
            on_stderr(f"pykexec: {words(error)}")
            time.sleep(pause_s)
    return None, None


def show(mailbox: Mailbox) -> None:
    """Firmware, memory map, block devices with their device paths, TPM; on every console."""
    from pykexec.firmware.handles import list_handles
    from pykexec.firmware.handoff import read_handoff
    from pykexec.firmware.info import read_memory_map
    from pykexec.guest.console import mirror
    from pykexec.guest.summary import (
        describe_devices,
        device_rows,
        firmware_line,
        memory_lines,
        payload_memory_line,
        tpm_line,
    )

    lines = [f"pykexec: Linux {os.uname().release} under live boot services"]
    memory = read_memory_map(mailbox)
    lines += [firmware_line(read_info(mailbox)), *memory_lines(memory)]
    lines.append(payload_memory_line(memory, read_handoff(mailbox)))
    handles = list_handles(mailbox, "block_io")
    details = describe_devices(mailbox, handles)
    lines.append("block devices:" if handles else "block devices: none")
    for number, kind, text, path in device_rows(handles, details):
        lines.append(f"  {number:>4} {kind:9} {text:24} {path}")
    text = "\n".join([*lines, tpm_line(mailbox), ""])
    print(text, end="")
    mirror(text)


def load_config(mailbox: Mailbox | None, info: FirmwareInfo | None) -> AgentConfig:
    """The embedded configuration, or the override where the image came from: volume or server.

    An override is measured first, where there is a TPM. One that is faulty or cannot be
    measured is reported and leaves the embedded one in force. A faulty embedded one grants
    nothing: no payload, no shell.
    """
    try:
        embedded = read_embedded()
        base = resolve_config(embedded, None)
    except Exception as error:
        on_stderr(f"pykexec: {words(error)}")
        note(words(error))
        return NOTHING_GRANTED
    attempt("pykexec: native", partial(native.allow, base.native), None)
    if mailbox and info and base.drivers:
        attempt("pykexec: drivers", partial(load_drivers, mailbox, info, base), None)
    if base.locked or not mailbox or not info:
        return base
    from pykexec.net.boot_server import network_origin

    try:
        # First: what a network boot program shows as a volume came over the wire, too.
        if origin := network_origin(mailbox):
            from pykexec.guest.network import network_config

            return network_config(mailbox, info, origin, base)
        if info.boot_volume:
            return resolve_config(embedded, _override(mailbox, info, base.attest is not None))
    except Exception as error:  # What a volume or a server has for us may be anything.
        on_stderr(f"pykexec: {words(error)}")
    return base


def load_drivers(mailbox: Mailbox, info: FirmwareInfo, config: AgentConfig) -> None:
    """What the firmware lacks, before anything looks for devices: an override could be on one."""
    from pykexec.guest.drivers import load_once

    load_once(mailbox, info, config)


def _override(mailbox: Mailbox, info: FirmwareInfo, attested: bool) -> bytes | None:
    """The volume's configuration, measured; None if it has none."""
    import errno

    from pykexec.errors import FirmwareError
    from pykexec.firmware.devices import read_file

    try:
        data = read_file(mailbox, info.boot_volume, OVERRIDE_PATH, OVERRIDE_MAX)
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    if info.tpm:
        from pykexec.firmware.measure import LOG_FULL, measure_config

        if not measure_config(mailbox, data, OVERRIDE_PATH, attested):
            print(f"{OVERRIDE_PATH}: {LOG_FULL}")
    return data


def start_unattended(mailbox: Mailbox, config: AgentConfig) -> None:
    """Start the payload once its time has come, unless somebody presses a key."""
    from pykexec.guest.payload import start_payload

    if config.shell and config.timeout_s and countdown(mailbox, config.timeout_s):
        attend(mailbox, config, menu_first=True)
        return
    if not config.shell and config.timeout_s:
        time.sleep(config.timeout_s)
    if not start_payload(mailbox, config):
        fail(mailbox, config)


def offer_menu(mailbox: Mailbox, config: AgentConfig, again: bool) -> None:
    """The menu, until the machine is somebody else's; again: nothing is started by itself."""
    from pykexec.guest.boot_menu import run_menu

    run = partial(run_menu, mailbox, config, again)
    if attempt("pykexec: menu", run, False):
        leave_for(mailbox, final_action(config), "nobody can choose: there is no console")
    elif config.failure_action == "agent" and not again:
        offer_menu(mailbox, config, again=True)
    else:
        fail(mailbox, config)


def countdown(mailbox: Mailbox, seconds: int) -> bool:
    """Has somebody pressed a key, here or on a keyboard of the firmware's? There we are then."""
    from pykexec.guest.console import move_to_firmware, wait_for_key
    from pykexec.guest.watch import has_second_seat, where_typed

    where = [""]

    def elsewhere() -> bool:
        where[0] = where_typed(mailbox)
        return bool(where[0])

    is_watched = attempt("pykexec: console", partial(has_second_seat, mailbox), False)
    wait = partial(wait_for_key, seconds, elsewhere if is_watched else lambda: False)
    pressed = attempt("pykexec: console", wait, False)
    if where[0] == "keyboard":
        attempt("pykexec: console", move_to_firmware, None)
    return pressed


def fail(mailbox: Mailbox | None, config: AgentConfig) -> None:
    """Take the failure action; "agent" means the person at the console, if one is allowed."""
    if config.failure_action == "shell" or (config.failure_action == "agent" and config.shell):
        attend(mailbox, config)
    else:
        leave_for(mailbox, final_action(config))


def attend(mailbox: Mailbox | None, config: AgentConfig, menu_first: bool = False) -> None:
    """Shell, and the menu whenever the shell ends; without a terminal nobody can be asked.

    Nobody is let in either while this boot could still be given secrets.
    """
    if not os.isatty(0):
        leave_for(mailbox, final_action(config), "nobody can answer: there is no keyboard")
        return
    if not may_enter(mailbox, config):
        leave_for(mailbox, without_shell(config), "nobody may come in: this boot attests")
        return
    if mailbox:
        attempt("pykexec: second seat", partial(_offer, mailbox, config), None)
    _sit(mailbox, config, menu_first)
    # The terminal is gone, and whoever sat at it.
    leave_for(mailbox, final_action(config), "the console is gone")


def _sit(mailbox: Mailbox | None, config: AgentConfig, menu_first: bool) -> None:
    """As long as there is a terminal."""
    from pykexec.guest.menu import menu, shell

    if not menu_first:
        attempt("pykexec: shell", shell, None)
    while os.isatty(0):
        if mailbox and config.menu:
            from pykexec.guest.boot_menu import run_menu

            attempt("pykexec: menu", partial(run_menu, mailbox, config, True), None)
        else:
            attempt("pykexec: menu", partial(menu, mailbox, config), None)


def _offer(mailbox: Mailbox, config: AgentConfig) -> None:
    """Let in who sits at a keyboard and a screen, too, while the serial port is at rest."""
    from pykexec.guest.console import mirror
    from pykexec.guest.watch import has_second_seat, offer_second_seat

    if has_second_seat(mailbox):
        mirror("press a key on this machine's keyboard for a shell here\n")
        offer_second_seat(partial(_sit, config=config, menu_first=False))


def rescue() -> None:
    """After a crash: a shell if the embedded configuration allows one, else the firmware."""
    config, mailbox = _embedded_config(), attempt("pykexec", Mailbox, None)
    if config.shell and os.isatty(0) and may_enter(mailbox, config):
        from pykexec.guest.menu import shell

        shell()
        return
    leave_for(mailbox, without_shell(config), "the agent has crashed")


def give_up() -> None:
    """After crash upon crash, or where not even a process can be had: the firmware."""
    mailbox = attempt("pykexec", Mailbox, None)
    leave_for(mailbox, without_shell(_embedded_config()), "the agent crashes again and again")


def _embedded_config() -> AgentConfig:
    def read() -> AgentConfig:
        embedded = read_embedded()
        return AgentConfig() if embedded is None else parse_config(embedded, EMBEDDED_PATH)

    return attempt("pykexec", read, NOTHING_GRANTED)
