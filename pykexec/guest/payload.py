# SPDX-License-Identifier: Apache-2.0
"""Starts the payload that is configured, once attested if so configured."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from pykexec.config.agent import AgentConfig
from pykexec.config.payload import PayloadConfig
from pykexec.firmware.last_end import forget_last_end
from pykexec.firmware.mailbox import Mailbox
from pykexec.guest.ends import leave_for, note
from pykexec.guest.own_image import succeed
from pykexec.steps import attempt, on_stderr, words

if TYPE_CHECKING:
    from pykexec.guest.attest import Attestation
    from pykexec.guest.windows import WindowsCheck
    from pykexec.kexec.request import ExecRequest


def start_payload(mailbox: Mailbox, config: AgentConfig) -> bool:
    """Start the configured payload, once attested if so configured; False, with the reason
    printed, if that fails.
    """
    from pykexec.abi import Action
    from pykexec.firmware.wire import enum_member
    from pykexec.kexec.execute import exec_payload

    payload = config.payload
    if not payload:
        print("no payload is configured")
        note("no payload is configured")
        return False
    attestation, windows = None, None
    try:
        if config.windows:
            from pykexec.guest.windows import WindowsCheck

            windows = WindowsCheck(mailbox, config.windows, payload)
        path = _absolute(mailbox, payload)
        with _place(mailbox, config, path, payload) as (started, volume):
            # Its time begins now: a wim may have taken minutes.
            if config.attest:
                from pykexec.guest.attest import Attestation

                look = windows.look if windows else None
                attestation = Attestation(mailbox, config, config.attest, look)
                attestation.connect()
            print(f"starting {path}", flush=True)
            exec_payload(
                mailbox,
                started,
                volume=volume,
                options=payload.options,
                sha256=payload.sha256,
                network=config.network,
                is_launch=payload.is_launch,
                failure_action=Action(enum_member(Action, config.failure_action)),
                before=partial(_before, mailbox, attestation, windows),
                report=_report,
            )
    except Exception as error:  # Whatever it is, what is configured for a failure comes next.
        on_stderr(f"pykexec: {words(error)}")
        note(words(error))
    finally:
        if attestation and not attempt("released secrets", attestation.withdraw, False):
            leave_for(mailbox, "reset", "released secrets could not be withdrawn")
    return False


def _report(line: str) -> None:
    print(f"pykexec: {line}", flush=True)


def _place(
    mailbox: Mailbox, config: AgentConfig, path: str, payload: PayloadConfig
) -> AbstractContextManager[tuple[str, str | None]]:
    """Path and volume of what is started: with [wim] a disk in memory that is made now."""
    if config.wim is None:
        return nullcontext((path, payload.volume))
    from pykexec.windows.winpe import installer_disk

    return installer_disk(
        mailbox,
        path,
        config.wim,
        volume=payload.volume,
        sha256=payload.sha256,
        network=config.network,
        report=_report,
    )


def _before(
    mailbox: Mailbox,
    attestation: Attestation | None,
    windows: WindowsCheck | None,
    request: ExecRequest,
) -> None:
    """What has to be right before anything is changed; PykexecError where it is not. An image that
    has come so far has proven itself.
    """
    if attestation:
        attestation.release(request)
    if windows:
        windows.decide()
    attempt("own image", partial(succeed, mailbox), None)
    attempt("last end", forget_last_end, None)


def _absolute(mailbox: Mailbox, payload: PayloadConfig) -> str:
    """The payload's path; an address relative to the image's own is made absolute."""
    if not payload.is_remote:
        return payload.path
    from pykexec.net.boot_server import absolute_url

    return str(absolute_url(mailbox, payload.path))
