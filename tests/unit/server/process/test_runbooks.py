# SPDX-License-Identifier: Apache-2.0
"""Runbooks of the documentation, carried out to the letter beside a server that goes on."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from pykexec.server.errors import MasterKeyError
from pykexec.server.keys.masterkey import create_master_key, open_master_key
from pykexec.server.store.store import Store
from tests.support.documented import commands
from tests.support.running_server import Running, serving, wait
from tests.support.samples_tls import certified
from tests.support.store_samples import enrolled, with_secret


def carry_out(command: str, directory: Path, **variables: str) -> str:
    """A line of a runbook, as an operator types it there; what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_the_master_key_is_replaced(tmp_path: Path) -> None:
    begin, finish, check = commands("keys.md", "The master key")
    url = f"sqlite:///{tmp_path}/s.db"
    old, new = (f"file:{tmp_path}/{name}.key" for name in ("old", "new"))
    create_master_key(tmp_path / "old.key")
    with Store.open(url, open_master_key(old), migrate=True) as store:
        machine = enrolled(store)
        with_secret(store, machine, b"kept")
    with serving(tmp_path / "first", url, old) as server:
        assert "give all servers the new key" in carry_out(begin, tmp_path, DATABASE=url)
        assert server.get("/readyz") == 200
    with serving(tmp_path / "second", url, new, "--previous-key", old) as server:
        carry_out(finish, tmp_path, DATABASE=url)
        assert server.get("/readyz") == 200
    assert "the chain is whole" in carry_out(check, tmp_path, DATABASE=url)
    with Store.open(url, open_master_key(new)) as store:
        ((_, value),) = store.open_secrets(machine.id)
        assert bytes(value) == b"kept"
    with pytest.raises(MasterKeyError):
        Store.open(url, open_master_key(old))


def test_the_certificate_is_replaced(tmp_path: Path) -> None:
    url, key = f"sqlite:///{tmp_path}/s.db", f"file:{tmp_path}/key"
    create_master_key(tmp_path / "key")
    Store.open(url, open_master_key(key), migrate=True).close()
    with serving(tmp_path / "server", url, key) as server:
        successor = certified(tmp_path / "new")
        assert not _trusts(server, successor.authority)
        place = server.tls.certificate.parent
        shutil.copy(successor.certificate, place / "new-cert.pem")
        shutil.copy(successor.key, place / "new-key.pem")
        for command in commands("keys.md", "TLS"):
            carry_out(command, place, SERVER_PID=str(server.process.pid))
        wait(lambda: _trusts(server, successor.authority), "the new certificate is shown")
        assert server.process.poll() is None


def _trusts(server: Running, authority: Path) -> bool:
    """Whether that authority vouches for what the server shows now."""
    try:
        with server.plain() as plain:
            context = ssl.create_default_context(cafile=authority)
            with context.wrap_socket(plain, server_hostname="localhost"):
                return True
    except OSError:
        return False
