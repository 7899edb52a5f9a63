# SPDX-License-Identifier: Apache-2.0
"""How the agent ends where no payload takes over: who may come in, which action is left, and
taking it.
"""

from __future__ import annotations

import os

from pykexec.config.agent import AgentConfig
from pykexec.firmware.mailbox import Mailbox
from pykexec.steps import attempt, on_stderr

_noted = ""


def final_action(config: AgentConfig) -> str:
    """The failure action when Linux itself is what is left: "agent" would bring it here again."""
    return "boot-next" if config.failure_action == "agent" else config.failure_action


def without_shell(config: AgentConfig) -> str:
    """The failure action when nobody is to be let in."""
    return "boot-next" if config.failure_action == "shell" else final_action(config)


def may_enter(mailbox: Mailbox | None, config: AgentConfig) -> bool:
    """Has this boot nothing to lose to a person at the console? It is spent where it had."""
    from pykexec.guest.attest import is_remembered, spend_for_a_person

    return not (config.attest or is_remembered()) or spend_for_a_person(mailbox)


def noted() -> str:
    """What was noted last."""
    return _noted


def note(reason: str) -> None:
    """What went wrong: the reason of an end that comes of it."""
    global _noted
    _noted = reason


def leave_for(mailbox: Mailbox | None, action: str, reason: str = "") -> None:
    """Give the machine back; where the mailbox cannot, by the kernel's own reset.

    The reason, or what was noted last, is said, and kept for the next start.
    """
    from pykexec._native import lib
    from pykexec.abi import Action
    from pykexec.firmware.wire import enum_member
    from pykexec.guest.console import finish_console
    from pykexec.kexec.leave import leave

    why = reason or _noted
    on_stderr(f"pykexec: action {action}{why and f': {why}'}")
    attempt("console", finish_console, None)
    if mailbox:
        chosen = Action(enum_member(Action, action))
        attempt("pykexec", lambda: leave(mailbox, chosen, why), None)
    os.sync()
    lib.pk_reboot(lib.LINUX_REBOOT_CMD_RESTART)
