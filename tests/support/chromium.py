# SPDX-License-Identifier: Apache-2.0
"""Chromium without a screen, by the DevTools protocol over a pipe, with a virtual security key."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WAIT_S = 60.0
_HIGH = 20  # Descriptors 3 and 4 are the pipe's in the child, whatever they are here.
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page of it."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._waiting, self._count, self._session = b"", 0, ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "usb", "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        self.key = self.ask("WebAuthn.addVirtualAuthenticator", options=options)["authenticatorId"]

    def ask(self, method: str, **params: object) -> Any:
        """A command's result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            data = os.read(self._read, 1 << 16)
            assert data, "Chromium has ended"
            self._waiting += data
        message, _, self._waiting = self._waiting.partition(b"\0")
        found = json.loads(message)
        assert isinstance(found, dict)
        return found

    def run(self, script: str) -> Any:
        """A script's value."""
        return self.ask("Runtime.evaluate", expression=script, returnByValue=True)["result"].get(
            "value"
        )

    def go(self, address: str) -> None:
        """Load a page."""
        self.ask("Page.navigate", url=address)

    def wait(self, condition: str) -> None:
        """Until a script's value is true, on whatever page that is then."""
        end = time.monotonic() + _WAIT_S
        while self.run(condition) is not True:
            assert time.monotonic() < end, (condition, self.run("document.body.innerText"))
            time.sleep(0.1)

    def at(self, path: str) -> None:
        """Wait for a page to be there."""
        self.wait(f"location.pathname === {path!r} && document.readyState === 'complete'")

    def fill(self, form: str, **fields: str) -> None:
        """Fill in a form and press its button, as a person would."""
        for name, value in fields.items():
            self.run(f"document.querySelector('{form} [name={name}]').value = {json.dumps(value)}")
        self.run(f"document.querySelector('{form} button').click()")


@contextmanager
def browsing(profile: Path, *options: str) -> Generator[Browser, None, None]:
    """Start it with nothing but a directory of its own, and options."""
    (to_read, write), (read, to_write) = os.pipe(), os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH) for fd in (to_read, to_write)]
    # A shell gives the child its descriptors, as Python has no way that is safe beside threads.
    shell = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}'
    command = ["bash", "-c", shell, "chromium", *_OPTIONS, *options, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command, pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        for fd in (to_read, to_write, *high):
            os.close(fd)
        try:
            yield Browser(write, read)
        finally:
            process.terminate()
            process.wait(20)
            os.close(write)
            os.close(read)
