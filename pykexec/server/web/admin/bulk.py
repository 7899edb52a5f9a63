# SPDX-License-Identifier: Apache-2.0
"""The admin API's import and export of many things at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from pykexec.attest.fields import ProtocolError, from_base64url
from pykexec.attest.protocol import PUBLIC_MAX, SECRET_KINDS
from pykexec.server.bulk.bring_in import Done, Progress, bring_in
from pykexec.server.bulk.lines import (
    LINES_MAX,
    HashLine,
    Line,
    MachineLine,
    PolicyLine,
    SecretLine,
)
from pykexec.server.bulk.take_out import KINDS, take_out
from pykexec.server.canonical import canonical
from pykexec.server.keys.envelope import wipe
from pykexec.server.store.records import EkHash
from pykexec.server.store.secret_values import VALUE_MAX
from pykexec.server.web.admin.operations import Call, Lines, Operation
from pykexec.server.web.record_shapes import (
    BASE64URL,
    EK_HASH,
    NAME,
    PARAMETER,
    PRINTABLE,
    REASON,
    SHA256,
    TAGS,
    TITLE,
)
from pykexec.server.web.shapes import (
    AnyObject,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Nullable,
    Record,
    Shape,
    Tagged,
    Text,
)
from pykexec.verify.ek import Ek
from pykexec.verify.keys import check_ek

if TYPE_CHECKING:
    from pykexec.server.web.web import Web

_BODY_MAX = 16 << 20
_POLICY_MAX = 256 << 10
_NUMBER: dict[str, Shape] = {"line": Integer(1, 2**31)}
_TAG_CHANGES = MapOf(TAGS.key, Nullable(Text(256, f"{PRINTABLE}*")), TAGS.count_max)
_LINE = Tagged(
    "kind",
    {
        "policy": Record({**_NUMBER, "name": NAME, "text": Text(_POLICY_MAX)}, {"comment": REASON}),
        "ek-hash": Record({**_NUMBER, **EK_HASH.fields}, EK_HASH.optional),
        "machine": Record(
            _NUMBER,
            {
                "fingerprint": SHA256,
                "ek_public": Text(-(-PUBLIC_MAX * 4 // 3), BASE64URL, size_min=64),
                "name": TITLE,
                "policy": Nullable(NAME),
                "tags": _TAG_CHANGES,
            },
        ),
        "secret": Record(
            {
                **_NUMBER,
                "machine": Text(256, size_min=1),
                "name": NAME,
                "type": Text(64, choices=tuple(SECRET_KINDS)),
                "value": Text(-(-VALUE_MAX * 4 // 3), BASE64URL, size_min=2, write_only=True),
            },
            {"parameters": MapOf(Text(64), PARAMETER, 8)},
        ),
    },
)
_ANSWER = Record(
    {},
    {
        "progress": Record({"step": Text(16), "done": Integer(), "total": Integer()}),
        "change": Record(
            {"line": Integer(), "action": Text(64), "subject": Text(1024), "detail": AnyObject()}
        ),
        "fault": Record({"line": Integer(), "why": Text(4096)}),
        "done": Record({"lines": Integer(), "changes": Integer(), "written": Flag()}),
    },
)


class _NumberedLines(ListOf):
    """A list whose faults are told by the numbers that the items have where they come from."""

    def read(self, value: object, where: str) -> list[object]:
        """The list."""
        if not isinstance(value, list) or len(value) > self.count_max:
            return super().read(value, where)
        return [self.item.read(item, _place(item, place)) for place, item in enumerate(value)]


def _place(item: object, place: int) -> str:
    number = item.get("line") if isinstance(item, dict) else None
    return f"line {number}" if isinstance(number, int) else f"body.lines[{place}]"


def _import(call: Call) -> object:
    lines: list[Line] = []
    try:
        for item in call.get("lines", list, []):
            lines.append(_line(cast(Mapping[str, object], item)))
    except BaseException:
        _wipe(lines)
        raise
    return Lines(_tell(call.web, lines, call.actor, call.get("dry_run", bool, False)))


def _line(item: Mapping[str, object]) -> Line:
    number = cast(int, item["line"])
    match item["kind"]:
        case "policy":
            name, text = str(item["name"]), str(item["text"])
            return PolicyLine(number, name, text, str(item.get("comment", "")))
        case "ek-hash":
            tags = cast(Mapping[str, str], item.get("tags", {}))
            policy = cast("str | None", item.get("policy"))
            entry = EkHash(str(item["sha256"]), str(item.get("name", "")), tags, policy)
            return HashLine(number, entry)
        case "machine":
            return _machine(number, item)
    parameters = cast(Mapping[str, str], item.get("parameters", {}))
    value = bytearray(from_base64url(str(item["value"]), f"line {number}.value"))
    machine, name, kind = str(item["machine"]), str(item["name"]), str(item["type"])
    return SecretLine(number, machine, name, kind, parameters, value)


def _machine(number: int, item: Mapping[str, object]) -> MachineLine:
    fingerprint, ek = str(item.get("fingerprint", "")), None
    if "ek_public" in item:
        public = from_base64url(str(item["ek_public"]), f"line {number}.ek_public")
        found, faults = check_ek(public)
        if found is None or faults:
            words = "; ".join(fault.text for fault in faults) or "is no EK"
            raise ProtocolError(f"line {number}.ek_public: {words}")
        ek = Ek(public, found.kind)
        if fingerprint not in ("", ek.fingerprint):
            raise ProtocolError(f"line {number}.fingerprint: is not that of ek_public")
        fingerprint = ek.fingerprint
    if not fingerprint:
        raise ProtocolError(f"line {number}: which machine? fingerprint or ek_public is missing")
    values = {key: item[key] for key in ("name", "policy") if key in item}
    tags = cast("Mapping[str, str | None]", item.get("tags", {}))
    return MachineLine(number, fingerprint, ek, values, tags)


def _tell(web: Web, lines: list[Line], actor: str, dry_run: bool) -> Iterator[str]:
    """What bring_in() says, an object a line; the values are gone whatever becomes of it."""
    try:
        for said in bring_in(web.store, lines, actor, dry_run):
            if isinstance(said, Progress):
                step = {"step": said.step, "done": said.done, "total": said.total}
                yield json.dumps({"progress": step})
            else:
                yield from _tell_done(said, len(lines), dry_run)
    finally:
        _wipe(lines)


def _tell_done(done: Done, count: int, dry_run: bool) -> Iterator[str]:
    for change in done.changes:
        words = {"line": change.line, "action": change.action, "subject": change.subject}
        yield canonical({"change": {**words, "detail": dict(change.detail)}})
    for fault in done.faults:
        yield canonical({"fault": {"line": fault.line, "why": fault.why[:4096]}})
    written = not (dry_run or done.faults)
    end = {"lines": count, "changes": len(done.changes), "written": written}
    yield json.dumps({"done": end})


def _wipe(lines: list[Line]) -> None:
    for line in lines:
        if isinstance(line, SecretLine):
            wipe(line.value)


def _export(call: Call) -> object:
    kind = call.path["kind"]
    call.web.store.audit(call.actor, "export", kind)
    return Lines(canonical(row) for row in take_out(call.web.store, kind))


OPERATIONS = (
    Operation(
        "importLines", "POST", "/import", "admin",
        "Bring in machines, secrets, EK hashes and policies: all of the lines, or none where one "
        "has a fault. The last object of the answer is done, which says whether anything was "
        "written; a dry run says what would change.",
        _import, _ANSWER,
        Record({"lines": _NumberedLines(_LINE, LINES_MAX)}, {"dry_run": Flag()}),
        body_max=_BODY_MAX, lines=True,
    ),
    Operation(
        "exportLines", "GET", "/export/{kind}", "viewer",
        "All of one kind, as importLines takes it; secrets without their values.",
        _export, AnyObject(), path_shapes={"kind": Text(16, choices=KINDS)}, lines=True,
        errors=(404,),
    ),
)  # fmt: skip
