# SPDX-License-Identifier: Apache-2.0
"""What an operation of the admin API is: one table row for its route, its check and its document.

A handler is synchronous and runs in a thread; what it gets was checked against the row's shapes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import JSONResponse, Response, StreamingResponse

from pykexec.attest.fields import ProtocolError, parse_object
from pykexec.server.roles import Reach, reach_of
from pykexec.server.web.problems import Problem
from pykexec.server.web.shapes import Shape, Text

if TYPE_CHECKING:
    from pykexec.server.web.web import Web

PREFIX = "/admin/v1"
BODY_MAX = 64 << 10
_LINES_AT_ONCE, _LINES_S = 100, 0.5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lines:
    """An answer that is a stream of JSON lines, which are fetched as they are taken."""

    lines: Iterator[str]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, and its checked parts; body is None where there is none."""

    web: Web
    actor: str
    path: Mapping[str, str]
    query: Mapping[str, object]
    body: Mapping[str, object]

    def get(self, name: str, kind: type[T], default: T) -> T:
        """A key of the body or of the query, of the type that its shape gives."""
        value = self.body.get(name, self.query.get(name, default))
        assert isinstance(value, kind)
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        """The same where nothing is a value, too."""
        value = self.body.get(name, self.query.get(name))
        assert value is None or isinstance(value, kind)
        return value


async def _chunks(web: Web, lines: Iterator[str]) -> AsyncIterator[str]:
    """Some lines at a time, each time in a thread that goes on to serve others."""
    while chunk := await web.run(_some, lines):
        yield "".join(line if line.endswith("\n") else line + "\n" for line in chunk)


def _some(lines: Iterator[str]) -> list[str]:
    """Fewer where they take long: some of them say how far something is."""
    end = monotonic() + _LINES_S
    found: list[str] = []
    for line in lines:
        found.append(line)
        if len(found) == _LINES_AT_ONCE or monotonic() > end:
            break
    return found


Handler = Callable[[Call], object]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row; path may hold {names}, whose shapes are in path_shapes.

    reply None answers 204; Lines stand for application/jsonl. reach None: as the path says, see
    roles.reach_of().
    """

    name: str
    method: str
    path: str
    role: str
    summary: str
    handler: Handler
    reply: Shape | None = None
    body: Shape | None = None
    query: Mapping[str, Shape] = field(default_factory=dict)
    path_shapes: Mapping[str, Text] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    status: int = 200
    body_max: int = BODY_MAX
    lines: bool = False
    reach: Reach | None = None

    @property
    def reaches(self) -> Reach:
        """How far."""
        return reach_of(self.path, self.reach)

    @property
    def route(self) -> str:
        """The whole path."""
        return PREFIX + self.path


def read_path(operation: Operation, values: Mapping[str, object]) -> dict[str, str]:
    """The path's parts; one that cannot name anything is not found."""
    try:
        return {
            name: shape.read(values[name], name) for name, shape in operation.path_shapes.items()
        }
    except ProtocolError as error:
        raise Problem(404, str(error)) from None


def read_query(operation: Operation, pairs: list[tuple[str, str]]) -> dict[str, object]:
    """The query's parameters: known ones, each once."""
    found: dict[str, object] = {}
    for name, text in pairs:
        if name not in operation.query:
            raise ProtocolError(f"query.{name[:64]}: unknown parameter")
        if name in found:
            raise ProtocolError(f"query.{name}: occurs twice")
        found[name] = operation.query[name].read_text(text, f"query.{name}")
    return found


def read_body(operation: Operation, data: bytes, content_type: str) -> dict[str, object]:
    """The body's object, by the operation's shape."""
    if operation.body is None:
        if data:
            raise ProtocolError("body: this operation takes none")
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "the body must be application/json")
    found = operation.body.read(parse_object(data, "body", operation.body_max).rest(), "body")
    assert isinstance(found, dict)
    return found


def answer(web: Web, operation: Operation, result: object) -> Response:
    """What the handler gave, as the operation's answer."""
    if isinstance(result, Lines):
        return StreamingResponse(_chunks(web, result.lines), media_type="application/jsonl")
    if operation.reply is None:
        return Response(status_code=204)
    return JSONResponse(result, operation.status)
