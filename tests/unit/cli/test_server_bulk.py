# SPDX-License-Identifier: Apache-2.0
"""`pykexec server import` and `export`, against a server that answers as the real one does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.cli import main
from pykexec.server.adminclient import AdminClient
from tests.support.server_world import World, world

HEAD = "kind,sha256,name,policy\n"
GOOD = f"ek-hash,{'ab' * 32},web-1,any\n"


@pytest.fixture(name="server")
def server_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Asked without a network."""
    with world(tmp_path) as found:

        def lines(
            _: AdminClient, *path: str, method: str = "GET", body: object = None
        ) -> Iterator[str]:
            target = "/".join(("/admin/v1", *path))
            token = found.tokens["admin"]
            if body is None:
                answer = found.client.request(method, target, token=token)
            else:
                answer = found.client.send_json(method, target, body, token)
            assert answer.status == 200, answer.text
            return iter(answer.text.splitlines())

        monkeypatch.setattr(AdminClient, "lines", lines)
        monkeypatch.setenv("PYKEXEC_SERVER", "https://server")
        monkeypatch.setenv("PYKEXEC_TOKEN", "token")
        yield found


def bring(tmp_path: Path, text: str | bytes, *more: str, name: str = "f.csv") -> int:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return main(["server", "import", f"{tmp_path}/{name}", *more])


def test_a_dry_run_and_then_the_import(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bring(tmp_path, HEAD + GOOD, "--dry-run") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"line 2: ek-hash.add ek-hash:{'ab' * 32} name=web-1 policy=any"
    assert second == "1 lines, 1 changes would be made; nothing was changed"
    assert server.store.ek_hashes().total == 0
    # Spreadsheets begin a file with a mark.
    assert bring(tmp_path, b"\xef\xbb\xbf" + (HEAD + GOOD).encode()) == 0
    assert capsys.readouterr().out.splitlines() == [first, "1 lines, 1 changes were made"]
    assert server.store.ek_hashes().total == 1


def test_a_fault_is_told_by_its_line_and_nothing_is_changed(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = f"ek-hash,{'cd' * 32},web-2,absent\n"
    assert bring(tmp_path, HEAD + GOOD + bad) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first == "line 3: there is no policy 'absent'"
    assert "nothing was changed" in second
    assert server.store.ek_hashes().total == 0


@pytest.mark.parametrize(
    ("text", "name", "fault"),
    [
        (b"kind,name\nmachine,\xff\n", "f.csv", "line 2: not UTF-8"),
        ("kind,name\nmachine\n", "f.csv", "line 2: 1 cells"),
        ("{", "f.jsonl", "line 1: not JSON"),
        (b" " * ((16 << 20) + 1), "f.jsonl", "import it in parts"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_line(
    server: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | bytes,
    name: str,
    fault: str,
) -> None:
    assert bring(tmp_path, text, name=name) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line


def test_what_is_exported_comes_back_as_no_change(
    server: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bring(tmp_path, HEAD + GOOD) == 0
    for form in ("csv", "jsonl"):
        capsys.readouterr()
        assert main(["server", "export", "ek-hash", "--format", form]) == 0
        text = capsys.readouterr().out
        assert "web-1" in text
        assert bring(tmp_path, text, name=f"again.{form}") == 0
        assert "1 lines, 0 changes" in capsys.readouterr().out


def test_an_answer_that_breaks_off_is_no_success(
    server: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.dumps({"progress": {"step": "checked", "done": 0, "total": 1}})
    monkeypatch.setattr(AdminClient, "lines", lambda *_, **__: iter([said]))
    assert bring(tmp_path, HEAD + GOOD) == 3
