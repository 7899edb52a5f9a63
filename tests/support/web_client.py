# SPDX-License-Identifier: Apache-2.0
"""A browser or agent for the web service in this process: ASGI without a socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from types import TracebackType
from urllib.parse import urlencode, urlsplit

from starlette.types import Message, Scope

from pykexec.server.web.app import Application


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> dict[str, object]:
        """The body as an object."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    def header(self, name: str) -> str:
        """A header; empty when it is missing."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def csrf(self) -> str:
        """The token of the page's forms."""
        found = re.search(r'name="csrf" value="(\w+)"', self.text)
        assert found, self.text
        return found[1]


class Client:
    """Sends requests from one address; keeps cookies like a browser, never follows.

    With stalls it sends heads, and bodies never.
    """

    def __init__(self, app: Application, peer: str = "192.0.2.7") -> None:
        self.peer = peer
        self.stalls = False
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._shut = asyncio.Event()
        self._lifespan: asyncio.Task[None] | None = None

    def __enter__(self) -> Client:
        started = asyncio.Event()

        async def receive() -> Message:
            if not started.is_set():
                started.set()
                return {"type": "lifespan.startup"}
            await self._shut.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            pass

        async def start() -> None:
            scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
            self._lifespan = asyncio.create_task(self._run(scope, receive, send))
            await started.wait()

        self._loop.run_until_complete(start())
        return self

    async def _run(self, scope: Scope, receive: object, send: object) -> None:
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        async def stop() -> None:
            self._shut.set()
            assert self._lifespan
            await self._lifespan

        self._loop.run_until_complete(stop())
        self._loop.close()

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        more_body: bool = False,
    ) -> Answer:
        """One request; token goes into its Authorization. With more_body the body goes on, but
        nothing of that comes.
        """
        parts = urlsplit(target)
        fields = {"host": "server", "content-length": str(len(body)), **(headers or {})}
        if token is not None:
            fields["authorization"] = f"Bearer {token}"
        if self.cookies:
            fields["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in fields.items()],
            "client": (self.peer, 40000),
            "server": ("server", 443),
            "root_path": "",
        }
        answer = self._loop.run_until_complete(self._exchange(scope, body, more_body))
        for name, value in answer.headers:
            if name == "set-cookie":
                self.set_cookies.append(value)
                for key, morsel in SimpleCookie(value).items():
                    self.cookies.pop(key, None)
                    if morsel.value and morsel["max-age"] != "0":
                        self.cookies[key] = morsel.value
        return answer

    async def _exchange(self, scope: Scope, body: bytes, more_body: bool) -> Answer:
        messages: list[Message] = []
        waiting = [{"type": "http.request", "body": body, "more_body": more_body}]

        async def receive() -> Message:
            if not waiting or self.stalls:
                await asyncio.Event().wait()  # The peer stays to hear the answer.
            return waiting.pop()

        async def send(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        head = messages[0]
        headers = [(k.decode(), v.decode("latin-1")) for k, v in head["headers"]]
        content = b"".join(message.get("body", b"") for message in messages[1:])
        return Answer(head["status"], headers, content)

    def get(self, target: str, token: str | None = None) -> Answer:
        """GET."""
        return self.request("GET", target, token=token)

    def send_json(
        self, method: str, target: str, value: object, token: str | None = None
    ) -> Answer:
        """A request with a JSON body."""
        body = json.dumps(value).encode()
        return self.request(method, target, body, {"content-type": "application/json"}, token)

    def send_form(
        self, target: str, headers: Mapping[str, str] | None = None, /, **fields: str
    ) -> Answer:
        """POST a form."""
        content = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.request("POST", target, urlencode(fields).encode(), content)

    def log_in(self, name: str, password: str) -> Answer:
        """Fill in the login form."""
        token = self.get("/login").csrf
        return self.send_form("/login", csrf=token, name=name, password=password)
