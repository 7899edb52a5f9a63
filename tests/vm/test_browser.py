# SPDX-License-Identifier: Apache-2.0
"""The operator page in a real browser, whose security key is Chromium's own virtual one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.run import run
from pykexec.server.keys.masterkey import open_master_key
from pykexec.server.store.store import Store
from tests.support import chromium
from tests.support.running_server import wait

PASSWORD = "a password of some length"


@pytest.fixture(name="address")
def address_fixture(tmp_path: Path) -> Iterator[str]:
    """Of a server with an administrator, on this machine: browsers take that for secure."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://localhost:{port}"
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "operators.toml").write_text(f'address = "{address}"\n')
    store = ["--database", f"sqlite:///{tmp_path}/s.db", "--master-key", f"file:{tmp_path}/key"]
    us = [sys.executable, "-m", "pykexec"]
    run([*us, "server", "init", *store, "--password-file", f"{tmp_path}/password"])
    options = ["--listen", f"127.0.0.1:{port}", "--operators", f"{tmp_path}/operators.toml"]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return process.poll() is not None

    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*us, "serve", *store, *options], stdout=log, stderr=log)
    try:
        wait(ready)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


def log_in(browser: chromium.Browser, address: str) -> None:
    browser.go(f"{address}/login")
    browser.at("/login")
    browser.fill("form", name="admin", password=PASSWORD)


@pytest.mark.matrix
def test_a_browser_registers_a_security_key_and_logs_in_with_it(
    address: str, tmp_path: Path
) -> None:
    with chromium.browsing(tmp_path / "profile") as browser:
        log_in(browser, address)
        browser.at("/machines")
        browser.go(f"{address}/account/key")
        browser.at("/account/key")
        browser.fill("#key", name="blue key")
        browser.at("/account")
        assert "blue key" in browser.run("document.body.innerText")
        browser.fill("form.who")
        browser.at("/login")
        log_in(browser, address)
        browser.at("/login/key")
        browser.fill("#key")
        browser.at("/machines")
        # Without it there is no way in.
        browser.fill("form.who")
        browser.at("/login")
        browser.ask("WebAuthn.removeVirtualAuthenticator", authenticatorId=browser.key)
        log_in(browser, address)
        browser.at("/login/key")
        browser.go(f"{address}/machines")
        browser.at("/login")
    with Store.open(f"sqlite:///{tmp_path}/s.db", open_master_key(f"file:{tmp_path}/key")) as store:
        keyed = [bool(e.detail.get("key")) for e in store.audit_entries(action="operator.login")]
        assert keyed == [True, False]
