# SPDX-License-Identifier: Apache-2.0
"""The agent: shows where it runs, then starts the payload that is configured, or asks."""

from __future__ import annotations

import os
import sys
import time

from pykexec.config.agent import (
    EMBEDDED_PATH,
    OVERRIDE_MAX,
    OVERRIDE_PATH,
    AgentConfig,
    parse_config,
    read_embedded,
    resolve_config,
)
from pykexec.errors import NotResidentError, PykexecError
from pykexec.firmware import native
from pykexec.firmware.info import FirmwareInfo, read_info
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.ends import final_action, leave_for, without_shell
from pykexec.log import describe, marker

BRIDGES_NEED = 48 << 20  # bytes: three processes, and a payload beside them

# What the agent does next.
SHELL = "shell"
PAYLOAD = "payload"
FAIL = "fail"


def run(spent_s: float) -> None:
    """One life of the agent; spent_s is the processor time that PID 1 took before it."""
    mailbox, info = _connect()
    if mailbox:
        show(mailbox)
    # process_time() starts anew in a fork.
    print(marker("agent", "time", round((spent_s + time.process_time()) * 1000)))
    print(marker("agent", "uptime", round(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)))
    print(marker("agent", "ready"), flush=True)
    config = load_config(mailbox, info)
    native.allow(config.native)
    if config.attest:
        from pykexec.guest.attest import remember

        remember()
    step = decide(config, info)
    if mailbox:
        start_bridges(config)
    if info and info.outcome.nr_runs:
        print(f"last end: {info.outcome}")
    if step == PAYLOAD and mailbox:
        start_unattended(mailbox, config)
    elif step == FAIL:
        fail(mailbox, config)
    else:
        attend(mailbox, config)


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
    try:
        begin(*config.bridges)
    except PykexecError as error:
        print(f"pykexec: {describe(error)}", file=sys.stderr)


def decide(config: AgentConfig, info: FirmwareInfo | None) -> str:
    """Payload, shell, or the failure action.

    A Linux that was started again after a payload must not start it once more:
    that would go on for ever.
    """
    if info and info.shell:
        return SHELL
    if info and config.payload and not info.outcome.nr_runs:
        return PAYLOAD
    return SHELL if config.shell else FAIL


def _connect() -> tuple[Mailbox | None, FirmwareInfo | None]:
    try:
        mailbox = Mailbox()
    except NotResidentError as error:
        print(f"not under live boot services: {error.strerror}")
        return None, None
    return mailbox, read_info(mailbox)


def show(mailbox: Mailbox) -> None:
    """Firmware, memory map, block devices with their device paths, TPM; on every console."""
    from pykexec.firmware.handles import list_handles
    from pykexec.firmware.info import read_memory_map
    from pykexec.guest.console import mirror
    from pykexec.guest.summary import (
        describe_devices,
        device_rows,
        firmware_line,
        memory_lines,
        tpm_line,
    )

    lines = [f"pykexec: Linux {os.uname().release} under live boot services"]
    lines += [firmware_line(read_info(mailbox)), *memory_lines(read_memory_map(mailbox))]
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
    embedded = read_embedded()
    try:
        base = resolve_config(embedded, None)
        native.allow(base.native)
    except PykexecError as error:
        print(f"pykexec: {describe(error)}", file=sys.stderr)
        return AgentConfig(failure_action="boot-next", shell=False)
    if base.locked or not mailbox or not info:
        return base
    from pykexec.net.boot_server import network_origin

    try:
        # First: what a network boot program shows as a volume came over the wire, too.
        if origin := network_origin(mailbox):
            from pykexec.guest.network import network_config

            return network_config(mailbox, info, origin, base)
        if info.boot_volume:
            return resolve_config(embedded, _override(mailbox, info))
    except PykexecError as error:
        print(f"pykexec: {describe(error)}", file=sys.stderr)
    return base


def _override(mailbox: Mailbox, info: FirmwareInfo) -> bytes | None:
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
        from pykexec.firmware.measure import measure_config

        measure_config(mailbox, data, OVERRIDE_PATH)
    return data


def start_unattended(mailbox: Mailbox, config: AgentConfig) -> None:
    """Start the payload once its time has come, unless somebody presses a key."""
    from pykexec.guest.console import wait_for_key
    from pykexec.guest.payload import start_payload

    if config.shell and config.timeout_s and wait_for_key(config.timeout_s):
        attend(mailbox, config, menu_first=True)
        return
    if not config.shell and config.timeout_s:
        time.sleep(config.timeout_s)
    if not start_payload(mailbox, config):
        fail(mailbox, config)


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
    from pykexec.guest.menu import menu, shell

    if not os.isatty(0):
        leave_for(mailbox, final_action(config))
        return
    if not may_enter(mailbox, config):
        leave_for(mailbox, without_shell(config))
        return
    if not menu_first:
        shell()
    while True:
        menu(mailbox, config)


def may_enter(mailbox: Mailbox | None, config: AgentConfig) -> bool:
    """Has this boot nothing to lose to a person at the console?"""
    from pykexec.guest.attest import is_remembered, spend_for_a_person

    return not (config.attest or is_remembered()) or spend_for_a_person(mailbox)


def rescue() -> None:
    """After a crash: a shell if the embedded configuration allows one, else the firmware."""
    embedded = read_embedded()
    try:
        config = AgentConfig() if embedded is None else parse_config(embedded, EMBEDDED_PATH)
    except PykexecError:
        config = AgentConfig(failure_action="boot-next", shell=False)
    try:
        mailbox = Mailbox()
    except PykexecError:
        mailbox = None
    if config.shell and os.isatty(0) and may_enter(mailbox, config):
        from pykexec.guest.menu import shell

        shell()
        return
    leave_for(mailbox, without_shell(config))
