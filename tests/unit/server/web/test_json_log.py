# SPDX-License-Identifier: Apache-2.0
"""The log as JSON: what a request did is told in one form, and never what it held."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.server.web.json_log import JsonLines, begin_request, note_machine
from tests.support.attest_machine import Machine
from tests.support.server_world import KEY, World, world

Lines = list[dict[str, object]]
SESAME = "".join(("ses", "ame"))  # Frames show source lines.


class Log:
    """What was logged, a value a line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self, logger: str) -> Lines:
        """Of one of the loggers; each line is an object by itself."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in found if line["logger"] == logger]


@pytest.fixture(name="log")
def log_fixture() -> Iterator[Log]:
    made = Log()
    handler = logging.StreamHandler(made.stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level, levels = root.level, logging.getLogger("pykexec.access").level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("pykexec.access").setLevel(logging.NOTSET)
    yield made
    root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("pykexec.access").setLevel(levels)


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def test_a_request_is_an_object_with_its_machine(server: World, log: Log) -> None:
    machine = Machine()
    server.attest(machine)
    server.client.request(
        "GET", f"/admin/v1/machines/{machine.fingerprint}", token=server.tokens["viewer"]
    )
    challenged, attested, shown = log.lines("pykexec.access")
    for line in (challenged, attested, shown):
        assert line["machine"] == machine.fingerprint
        assert (line["status"], line["peer"], line["level"]) == (200, "192.0.2.7", "info")
        assert isinstance(line["ms"], float) and str(line["time"]).endswith("Z")
    assert len({str(line["request"]) for line in (challenged, attested, shown)}) == 3
    assert (attested["route"], attested["method"]) == ("attestations", "POST")
    assert shown["route"] == "showMachine"


def test_a_fault_has_the_number_of_its_answer_and_line_and_nothing_of_the_request(
    server: World, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        logging.getLogger("pykexec.test").warning("on its behalf")
        raise ValueError(SESAME)

    monkeypatch.setattr(type(server.store), "machine_counts", fail)
    answer = server.client.request("GET", "/admin/v1/status", token=server.tokens["viewer"])
    assert answer.status == 500
    number = answer.json["request"]
    (fault,) = log.lines("pykexec.server.web.app")
    (behalf,) = log.lines("pykexec.test")  # Said in another thread.
    (request,) = log.lines("pykexec.access")
    assert fault["request"] == behalf["request"] == request["request"] == number
    assert "ValueError" in str(fault["message"])
    assert "sesame" not in log.stream.getvalue()


def test_no_line_has_a_secret(server: World, log: Log) -> None:
    token = server.tokens["admin"]
    machine = Machine()
    server.attest(machine)
    path = f"/admin/v1/machines/{machine.fingerprint}/secrets/root?value=sesame"
    body = {"kind": "luks-key", "parameters": {"file": "k"}, "value": KEY.hex()}
    server.client.send_json("PUT", path, body, token)
    server.client.log_in("admin", "sesame")
    server.client.request("GET", "/admin/v1/status", token="sesame")
    said = log.stream.getvalue()
    assert said.count("pykexec.access") >= 5
    assert token not in said and KEY.hex() not in said and "sesame" not in said


def formatted(record: logging.LogRecord) -> dict[str, object]:
    line = JsonLines().format(record)
    assert line.isascii() and "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_others_lines_and_exceptions_have_the_same_form() -> None:
    try:
        raise KeyError(SESAME)
    except KeyError as error:
        info = (type(error), error, error.__traceback__)
    text = "a\nb \x1b[2J é \ud800 %s"
    record = logging.LogRecord("uvicorn.error", 40, "x.py", 1, text, ("\0",), info)
    found = formatted(record)
    assert found["message"] == text % "\0"
    assert (found["logger"], found["level"], found["exception"]) == (
        "uvicorn.error", "error", "KeyError",
    )  # fmt: skip
    assert "test_json_log.py" in str(found["frames"])
    assert "sesame" not in str(found)


@pytest.mark.parametrize("claimed", ["", "x", "F" * 64, "a" * 63, "a" * 64 + "\n", "../" * 30])
def test_what_is_no_fingerprint_is_no_machine(claimed: str) -> None:
    note = begin_request("1")
    note_machine(claimed)
    assert note.machine == ""
    note_machine("ab" * 32)
    assert note.machine == "ab" * 32
