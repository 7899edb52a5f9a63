# SPDX-License-Identifier: Apache-2.0
"""The agent's attestation: before the payload is started, and before a person is let in."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pykexec.config.agent import AgentConfig
from pykexec.config.attest import AttestConfig
from pykexec.errors import DeniedError, FirmwareError, NetworkError, PykexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.log import describe, print_marker
from pykexec.steps import attempt, on_stderr, words

if TYPE_CHECKING:
    from pykexec.attest.client import Answer, Facts, Server
    from pykexec.attest.opened import OpenedSecret, Release
    from pykexec.kexec.ramdisk import Ramdisk
    from pykexec.kexec.request import ExecRequest
    from pykexec.tpm.client import Tpm
    from pykexec.tpm.transport import FirmwareLog

REMEMBERED = "/run/pykexec/attests"
"""Is there once a configuration in force wants attestation: a crash does not undo that."""
_RESOURCE_MANAGER = "/dev/tpmrm0"
_ONLINE_S = 30.0


def remember(path: str = REMEMBERED) -> None:
    """Whoever runs the agent next knows that this boot may be given secrets."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass


def is_remembered(path: str = REMEMBERED) -> bool:
    """Did a configuration want attestation in this boot?"""
    return os.path.exists(path)


def spend_for_a_person(mailbox: Mailbox | None, linux_tpm: str = _RESOURCE_MANAGER) -> bool:
    """Make sure that nothing is, or will be, released to this boot; False, with the reason
    printed, if that cannot be had.
    """
    from pykexec.attest.protocol import SHELL_EVENT
    from pykexec.attest.spend import spend
    from pykexec.tpm.client import Tpm
    from pykexec.tpm.transport import device, firmware

    # These commands leave nothing in the TPM: no resource manager is needed.
    transmit = firmware(mailbox) if mailbox else device(linux_tpm)
    try:
        spend(Tpm(transmit), mailbox, SHELL_EVENT)
        if mailbox:
            _remove_ramdisks(mailbox)
    except Exception as error:  # Whatever keeps it from being spent.
        on_stderr(f"pykexec: no shell: {words(error)}")
        return False
    return True


def _remove_ramdisks(mailbox: Mailbox) -> None:
    """Those of a Linux before this one too: there may be keys on them."""
    from pykexec.kexec.ramdisk import list_ramdisks, remove

    for disk in list_ramdisks(mailbox):
        remove(mailbox, disk.number)


class Attestation:
    """What has to be done for one start of the payload: connect(), release(), and withdraw() if
    it is not started after all.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        config: AgentConfig,
        attest: AttestConfig,
        look: Callable[[Sequence[OpenedSecret]], None] | None = None,
    ) -> None:
        """look is shown what was released, before it is delivered; it keeps nothing."""
        self._mailbox, self._config, self._attest = mailbox, config, attest
        self._look = look
        self._start = time.monotonic()
        self._online = False
        self._online_s = 0.0
        self._no_server: NetworkError | None = None
        self._disks: list[Ramdisk] = []

    def connect(self) -> None:
        """Go on line and load what is needed: all the memory that it takes, before the payload
        takes what is left. PykexecError if it is required and fails.
        """
        from pykexec.bridge.supervisor import begin
        from pykexec.kexec.remote import go_online

        print_marker("attest", "start")
        # Going on line waits for it: it starts beside what is loaded.
        attempt("network", lambda: begin("net"), None)
        with self._required():
            import ssl  # noqa: F401

            from pykexec import crypto  # noqa: F401
            from pykexec.attest import client, deliver, jwe  # noqa: F401

            loaded = time.monotonic()
            try:
                seconds = min(_ONLINE_S, self._attest.timeout_s)
                go_online(self._mailbox, self._config.network, seconds)
            except NetworkError as error:
                self._no_server = self._unless_helped(error)
            self._online = True
            self._online_s = time.monotonic() - loaded

    def release(self, request: ExecRequest) -> None:
        """Attest this payload, and put what is released for it on a RAM disk of the firmware.

        PykexecError if it is required and fails.
        """
        if self._online:
            with self._required():
                self._release(request)

    def withdraw(self) -> bool:
        """Take the RAM disks back; False, with the reason printed, if keys are left in the
        firmware.
        """
        from pykexec.kexec.ramdisk import remove

        while self._disks:
            try:
                remove(self._mailbox, self._disks[-1].number)
            except PykexecError as error:
                print(f"pykexec: released secrets: {describe(error)}", file=sys.stderr)
                return False
            self._disks.pop()
        return True

    def _release(self, request: ExecRequest) -> None:
        from pykexec.attest.client import Facts
        from pykexec.attest.machine import machine_identity, payload_facts
        from pykexec.guest import own_image

        mailbox, payload = self._mailbox, request.payload
        facts = Facts(
            machine=machine_identity(),
            payload=payload_facts(payload.source, os.pread(payload.fd, payload.size, 0)),
            event_log=lambda: _event_log(mailbox),
            tries=True,
            installed=attempt("own image", lambda: own_image.facts(mailbox), {}),
        )
        with _tpm(mailbox, self._config) as tpm:
            if self._no_server is None:
                try:
                    self._ask_server(tpm, facts)
                except NetworkError as error:
                    self._no_server = self._unless_helped(error)
            if self._no_server is not None:
                self._ask_persons(tpm, facts)
        if self._disks:
            places = ", ".join(f"{disk.shape} {disk.number}" for disk in self._disks)
            print(f"released secrets: on {places}", flush=True)
        print_marker("attest", "released")

    def _ask_server(self, tpm: Tpm, facts: Facts) -> None:
        from pykexec.attest.client import Server, attest

        mailbox = self._mailbox
        server = Server(
            address=self._attest.server,
            authorities=self._config.network.authorities,
            timeout_s=max(0.0, self._attest.timeout_s - (time.monotonic() - self._start)),
            silence_s=self._config.network.timeout_s,
            bank=self._attest.bank,
            ek=self._attest.ek,
        )
        asked = time.monotonic()
        with attest(server, tpm, facts, lambda stage: print_marker("attest", stage)) as answer:
            if "failed" in facts.installed:
                from pykexec.guest import own_image

                attempt("own image", own_image.told, None)
            waited = answer.reply.pending is not None
            self._wait(server, answer, facts.machine)
            answer.check()
            if self._attest.approval and not waited:
                raise DeniedError(f"{server.address}: accepts, but no person has approved")
            print_marker("attest", "accepted")
            self._print(answer, tpm)
            opens = answer.reply.release is not None
            with answer.open_release(lambda: _spend(mailbox, tpm, opens)) as release:
                left_s = server.timeout_s - (time.monotonic() - asked)
                attempt("keys", partial(_try_keys, mailbox, server, release.opened, left_s), None)
                self._deliver(release)

    def _ask_persons(self, tpm: Tpm, facts: Facts) -> None:
        """No server answers: persons carry the question and the answer."""
        from pykexec.guest.break_glass import break_glass

        print_marker("attest", "break-glass")
        with break_glass(
            tpm,
            facts,
            self._attest.break_glass,
            self._attest.bank,
            self._mailbox,
            lambda: _spend(self._mailbox, tpm, True),
            self._attest.approval_s,
        ) as release:
            self._deliver(release)

    def _unless_helped(self, error: NetworkError) -> NetworkError:
        """The error, where persons may help; else it is raised."""
        attest = self._attest
        if not (attest.break_glass and attest.approval_s and os.isatty(0)):
            raise error
        print(f"pykexec: not attested: {describe(error)}", file=sys.stderr, flush=True)
        return error

    def _deliver(self, release: Release) -> None:
        from pykexec.attest.deliver import deliver

        if self._look:
            self._look(release.secrets)
        self._disks += deliver(
            self._mailbox,
            release.secrets,
            persist=self._attest.persist,
            key_disks=self._attest.key_disks,
        )

    def _wait(self, server: Server, answer: Answer, stated: Mapping[str, str]) -> None:
        """For persons to approve, where the policy wants that."""
        if (pending := answer.reply.pending) is None or not self._attest.approval_s:
            return
        from pykexec.attest.wait import wait
        from pykexec.guest.approval import shown

        name = " ".join(stated[key] for key in ("product", "serial") if key in stated)
        with shown(pending, name, self._mailbox):
            print_marker("attest", "pending")
            wait(server, answer, self._attest.approval_s)

    def _print(self, answer: Answer, tpm: Tpm) -> None:
        print(
            f"attested by {answer.server} in {time.monotonic() - self._start:.2f} s, of which "
            f"network {self._online_s:.2f} s, TPM {tpm.usage.seconds:.2f} s "
            f"({tpm.usage.commands} commands)",
            flush=True,
        )
        for finding in answer.reply.verdict.findings:
            print(f"attestation: {finding}")

    @contextmanager
    def _required(self) -> Iterator[None]:
        """What goes wrong here is only said where attestation is not required."""
        try:
            yield
        except PykexecError as error:
            print_marker("attest", "refused" if isinstance(error, DeniedError) else "failed")
            if self._attest.required:
                raise
            print(f"pykexec: not attested: {describe(error)}", file=sys.stderr, flush=True)


def _try_keys(
    mailbox: Mailbox, server: Server, opened: Sequence[OpenedSecret], left_s: float
) -> None:
    """What is told of keys is of no use to the boot itself."""
    if any(each.use for each in opened):
        from pykexec.guest.try_keys import try_and_report

        try_and_report(mailbox, server, opened, left_s)


def _event_log(mailbox: Mailbox) -> FirmwareLog:
    from pykexec.firmware.measure import LOG_FULL
    from pykexec.tpm.transport import read_event_log

    found = read_event_log(mailbox)
    if found.truncated:
        print(f"attestation: {LOG_FULL}; the server cannot explain the registers", flush=True)
    return found


def _spend(mailbox: Mailbox, tpm: Tpm, opens: bool) -> None:
    from pykexec.attest.protocol import RELEASE_EVENT
    from pykexec.attest.spend import spend

    if opens:
        from pykexec.efi.memory_overwrite import request_memory_overwrite
        from pykexec.firmware.secrets import announce

        announce(mailbox)
        try:
            if not request_memory_overwrite():
                print("attestation: this firmware does not wipe memory at a reset when asked to")
        except OSError as error:
            fault = f"memory is not to be wiped at a reset: {error.strerror}"
            raise FirmwareError(error.errno or 0, fault, "MemoryOverwriteRequest") from None
    spend(tpm, mailbox, RELEASE_EVENT)


@contextmanager
def _tpm(mailbox: Mailbox, config: AgentConfig) -> Iterator[Tpm]:
    """By the bridge where there is one, or is to be: its resource manager keeps users apart."""
    from pykexec.tpm.client import Tpm, open_tpm
    from pykexec.tpm.transport import RESOURCE_MANAGER, firmware

    if "tpm" in config.bridges or os.path.exists(RESOURCE_MANAGER):
        from pykexec.bridge.supervisor import ensure

        ensure("tpm")
        with open_tpm() as tpm:
            yield tpm
    else:
        with Tpm(firmware(mailbox)) as tpm:
            yield tpm
