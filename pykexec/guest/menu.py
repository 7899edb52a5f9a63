# SPDX-License-Identifier: Apache-2.0
"""What a person at the console can choose, the rescue shell included."""

from __future__ import annotations

import os
import time

from pykexec.config.agent import AgentConfig
from pykexec.firmware.mailbox import Mailbox

SHELL = "/bin/sh"
PROMPT = "pykexec# "
_CHOSEN = "chosen in the menu"


def menu(mailbox: Mailbox | None, config: AgentConfig) -> None:
    """Show the choices, take one, carry it out; returns when it came to nothing."""
    from pykexec.guest.ends import leave_for
    from pykexec.guest.payload import start_payload
    from pykexec.guest.screen import choose

    payload = config.payload.path if config.payload else "none is configured"
    start = f"start the payload ({payload})"
    try:
        choice = choose((start, "shell", "firmware menu", "next boot entry", "reset"))
    except (EOFError, OSError):
        time.sleep(1)  # No terminal any more, or Ctrl-D: do not spin.
        return
    if choice == 1 and mailbox:
        start_payload(mailbox, config)
    elif choice == 2:
        shell()
    elif choice == 3:
        leave_for(mailbox, "firmware", _CHOSEN)
    elif choice == 4:
        leave_for(mailbox, "boot-next", _CHOSEN)
    elif choice == 5:
        leave_for(mailbox, "reset", _CHOSEN)


def shell() -> None:
    """Run the rescue shell on the console until it ends."""
    import signal

    from pykexec.guest.console import reclaim_terminal
    from pykexec.linux.oom import spare_no_longer

    print("rescue shell: `pykexec --help` for what can be done, `exit` for the menu", flush=True)
    child = os.fork()
    if child == 0:
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTTOU):
                signal.signal(number, signal.SIG_DFL)
            spare_no_longer()
            os.execve(SHELL, [SHELL], {**os.environ, "PS1": PROMPT})
        except OSError as error:
            print(f"{SHELL}: {error.strerror}", flush=True)
        finally:
            os._exit(127)
    os.waitpid(child, 0)
    reclaim_terminal()
