# SPDX-License-Identifier: Apache-2.0
"""`pykexec server` commands against a server in this process: no TLS, no process to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from pykexec.cli import make_parser
from pykexec.errors import DeniedError, UsageError
from tests.support.server_world import World
from tests.support.web_client import Answer


@dataclass(frozen=True)
class InProcess:
    """What AdminClient does, by the token of a role."""

    server: World
    role: str = "admin"

    def get(self, *path: str, **query: object) -> dict[str, object]:
        """What is at path."""
        words = {key: str(value).lower() for key, value in query.items() if value is not None}
        target = _target(path) + (f"?{urlencode(words)}" if words else "")
        return _json(self.server.client.request("GET", target, token=self._token))

    def send(self, method: str, *path: str, body: object = None) -> dict[str, object]:
        """Change something."""
        client = self.server.client
        if body is None:
            return _json(client.request(method, _target(path), token=self._token))
        return _json(client.send_json(method, _target(path), body, self._token))

    @property
    def _token(self) -> str:
        return self.server.tokens[self.role]


def _target(path: tuple[str, ...]) -> str:
    return "/".join(("/admin/v1", *(quote(part, safe="") for part in path)))


def _json(answer: Answer) -> dict[str, object]:
    if answer.status >= 300:
        kind = DeniedError if answer.status in (401, 403) else UsageError
        raise kind(answer.text)
    return answer.json if answer.body else {}


def run(server: World, *words: str, role: str = "admin") -> int:
    """The exit status of `pykexec server WORDS`."""
    command = ["server", *words]
    args = make_parser(command).parse_args(command)
    args.client = lambda _: InProcess(server, role)
    code: int = args.main(args)
    return code
