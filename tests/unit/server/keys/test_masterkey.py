# SPDX-License-Identifier: Apache-2.0
"""The master key: from a file that nobody else can read, from the environment, in Vault."""

from __future__ import annotations

import base64
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from pykexec.errors import UsageError
from pykexec.server.errors import MasterKeyError
from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.masterkey import (
    LocalMasterKey,
    create_master_key,
    open_master_key,
)
from pykexec.server.store.store import Store
from tests.support import fake_vault
from tests.support.fake_vault import Vault
from tests.support.store_samples import MASTER, OPERATOR, enrolled, with_secret

KEY = LocalMasterKey(MASTER)


def key_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "master.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "content",
    [
        MASTER,
        MASTER.hex().encode(),
        MASTER.hex().upper().encode() + b"\n",
        base64.b64encode(MASTER) + b"\n",
    ],
)
def test_a_file_holds_the_key_bare_in_hex_or_in_base64(tmp_path: Path, content: bytes) -> None:
    opened = open_master_key(f"file:{key_file(tmp_path, content)}")
    assert opened.key_id == KEY.key_id
    assert opened.unwrap(KEY.wrap(b"key")) == b"key"


@pytest.mark.parametrize(
    "content", [b"", MASTER[:-1], MASTER.hex()[:-2].encode(), b"z" * 64, b"A" * 44, bytes(5000)]
)
def test_a_file_without_32_bytes_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MasterKeyError, match="does not hold 32 bytes"):
        open_master_key(f"file:{key_file(tmp_path, content)}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644, 0o601])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(MasterKeyError, match=f"has mode {mode:04o}"):
        open_master_key(f"file:{key_file(tmp_path, MASTER, mode)}")


def test_a_file_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file(tmp_path, MASTER)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 65533)
    with pytest.raises(MasterKeyError, match=r"belongs to user \d+"):
        open_master_key(f"file:{path}")


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("fifo", "."):
        with pytest.raises(MasterKeyError, match="not a regular file"):
            open_master_key(f"file:{tmp_path / name}")
    with pytest.raises(MasterKeyError, match="No such file"):
        open_master_key(f"file:{tmp_path}/absent")


def test_a_new_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    old_mask = os.umask(0)
    try:
        create_master_key(path)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = open_master_key(f"file:{path}").key_id
    with pytest.raises(FileExistsError):
        create_master_key(path)
    assert open_master_key(f"file:{path}").key_id == first


def test_a_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER", MASTER.hex())
    assert open_master_key("env:MASTER").key_id == KEY.key_id
    assert "MASTER" not in os.environ
    with pytest.raises(MasterKeyError, match="the environment has no MASTER"):
        open_master_key("env:MASTER")


def test_a_bad_variable_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER", "hunter2")
    with pytest.raises(MasterKeyError) as caught:
        open_master_key("env:MASTER")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("spec", ["", "file", "file:", "env:", "vault:", "/etc/key", "aws:key"])
def test_a_key_is_of_a_kind_that_is_known(spec: str) -> None:
    with pytest.raises(UsageError, match="a master key is file:PATH"):
        open_master_key(spec)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_has_32_bytes(size: int) -> None:
    with pytest.raises(MasterKeyError, match="32 bytes"):
        LocalMasterKey(bytes(size))


def test_a_key_never_shows_itself() -> None:
    assert repr(KEY) == "<secret>"
    assert MASTER.hex()[:16] not in KEY.key_id


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(60)])
def test_a_key_unwraps_only_what_it_wrapped(wrapped: bytes) -> None:
    with pytest.raises(MasterKeyError, match="not wrapped by the master key local:"):
        KEY.unwrap(wrapped)
    with pytest.raises(MasterKeyError):
        LocalMasterKey(bytes(32)).unwrap(KEY.wrap(b"key"))


@pytest.fixture(name="vault")
def vault_fixture(monkeypatch: pytest.MonkeyPatch) -> Generator[Vault, None, None]:
    """Running, and where Vault's own tools would look for it."""
    with fake_vault.serving() as vault:
        monkeypatch.setenv("VAULT_ADDR", vault.url)
        monkeypatch.setenv("VAULT_TOKEN", vault.token)
        yield vault


def test_vault_keeps_the_key(vault: Vault, tmp_path: Path) -> None:
    master = open_master_key("vault:transit/pykexec")
    assert "VAULT_TOKEN" not in os.environ
    with Store.open(f"sqlite:///{tmp_path}/store.db", master, migrate=True) as store:
        machine = enrolled(store)
        stored = with_secret(store, machine, b"value")
        vault.requests.clear()
        assert store.open_secrets(machine.id) == [(stored, bytearray(b"value"))]
        assert vault.requests == ["transit/decrypt/pykexec"]
        assert stored.key_id == "vault:transit/pykexec"


def test_after_a_rotation_in_vault_old_keys_open_and_are_wrapped_anew(
    vault: Vault, tmp_path: Path
) -> None:
    master = open_master_key("vault:transit/pykexec")
    with Store.open(f"sqlite:///{tmp_path}/store.db", master, migrate=True) as store:
        machine = enrolled(store)
        with_secret(store, machine, b"value")
        vault.rotate()
        assert bytes(store.open_secrets(machine.id)[0][1]) == b"value"
        assert store.rewrap(OPERATOR) == 2
        with store.database.reading() as connection:
            query = "SELECT wrapped FROM secrets UNION ALL SELECT wrapped FROM store_key"
            wrapped = connection.exec_driver_sql(query).scalars().all()
        assert [bytes(key)[:9] for key in wrapped] == [b"vault:v2:"] * 2
        assert bytes(store.open_secrets(machine.id)[0][1]) == b"value"


def test_mount_and_namespace_are_told_to_vault(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_NAMESPACE", "boot")
    vault.mount = "secrets/transit"
    master = open_master_key("vault:secrets/transit/pykexec")
    assert Keyring(master).wrap(bytes(32), b"x").key_id == "vault:secrets/transit/pykexec"
    assert vault.namespaces == {"boot"}


def test_a_token_that_runs_out_is_renewed(vault: Vault) -> None:
    master = open_master_key("vault:transit/pykexec")
    assert "auth/token/renew-self" not in vault.requests
    vault.ttl = 1700
    master.check()
    assert vault.ttl == 3600


def test_a_wrong_token_is_refused_and_not_repeated(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "s.hunter2")
    with pytest.raises(MasterKeyError, match="permission denied") as caught:
        open_master_key("vault:transit/pykexec")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("spec", ["vault:transit", "vault:/x", "vault:transit/"])
def test_a_vault_key_has_mount_and_name(spec: str) -> None:
    with pytest.raises(MasterKeyError, match="must be vault:MOUNT/NAME"):
        open_master_key(spec)


def test_vault_that_fails_is_an_error_of_ours(vault: Vault, tmp_path: Path) -> None:
    master = open_master_key("vault:transit/pykexec")
    with Store.open(f"sqlite:///{tmp_path}/store.db", master, migrate=True) as store:
        machine = enrolled(store)
        with_secret(store, machine)
        vault.sealed = True
        with pytest.raises(MasterKeyError, match="sealed"):
            store.open_secrets(machine.id)
        assert "sealed" in store.health().faults[0]
        vault.sealed = False
        wrapped = master.wrap(b"x")
        vault.garbage = True
        with pytest.raises(MasterKeyError, match="answer has no ciphertext"):
            master.wrap(b"x")
        with pytest.raises(MasterKeyError, match="answer is not base64"):
            master.unwrap(wrapped)
        vault.garbage = False
        with pytest.raises(MasterKeyError, match="authentication failed"):
            master.unwrap(b"vault:v1:AAAA")
        with pytest.raises(MasterKeyError, match="permission denied"):
            open_master_key("vault:transit/other").wrap(b"x")


def test_vault_that_is_away_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("VAULT_TOKEN", "s.hunter2")
        with pytest.raises(MasterKeyError, match="Connection") as caught:
            open_master_key("vault:transit/pykexec")
    assert "hunter2" not in str(caught.value)


def test_a_variable_is_gone_from_what_proc_shows() -> None:
    """/proc/PID/environ is what the process was started with, whatever it has unset since."""
    program = (
        "from pykexec.server.keys.environment import take_from_environment as take\n"
        "assert take('MASTER') == 'secret value' and take('MASTER') is None\n"
        "print(open('/proc/self/environ').read())"
    )
    environment = {"FIRST": "1", "MASTER": "secret value", "MASTER_2": "MASTER=secret", "LAST": "2"}
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert "secret value" not in shown
    for kept in ("FIRST=1", "MASTER_2=MASTER=secret", "LAST=2"):
        assert kept in shown
