# SPDX-License-Identifier: Apache-2.0
"""The script of the documentation replaces a passphrase of a volume that cryptsetup made; wherever
it is ended, the key that the next boot is given opens the volume, and the rotation goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pykexec.attest import key_report, protocol
from pykexec.attest.decode import parse_attest_reply
from pykexec.attest.opened import OpenedSecret
from pykexec.disk.luks_unlock import Room
from pykexec.guest.try_keys import try_keys
from pykexec.run import run
from pykexec.secret import Secret
from pykexec.server import escrow
from pykexec.server.store.machine_keys import MachineKeys
from pykexec.server.store.records import KeyPlan
from pykexec.windows.disks import open_disk
from tests.support.attest_machine import Machine, Opened
from tests.support.documented import script
from tests.support.server_world import ACTOR, World, world

FIRST = b"the first passphrase"
UUID = "4c4c4544-0042-3510-8058-b7c04f4b4e32"
VOLUME = "33333333-3333-4333-8333-333333333333"
PARAMETERS = {"volume": VOLUME, "file": "root.pass"}
PATH = f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"
WRAPPED = ("cp", "cryptsetup", "curl", "mv", "rm", "sync")
# Ends the script once the command whose number is in $DIE was carried out.
WRAPPER = """#!/bin/bash
number=$(($(cat "$PLACE/count") + 1)); echo $number >"$PLACE/count"
PATH=$REAL_PATH {0} "$@"; code=$?
[ "$number" != "$DIE" ] || kill -KILL "$(cat "$PLACE/pid")"
exit $code
"""


@pytest.fixture(name="made", scope="module")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume, to be copied."""
    path: Path = tmp_path_factory.mktemp("luks") / "volume"
    with open(path, "wb") as image:
        image.truncate(20 << 20)
    words = ["cryptsetup", "luksFormat", "-q", "--type=luks2", "--disable-locks"]
    words += [f"--uuid={VOLUME}", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--key-file=-"]
    run([*words, path], env={"PATH": PATH}, stdin=FIRST, timeout_s=120)
    return path


@dataclass
class Host:
    """A machine: its agent, its volume, its system's script."""

    server: World
    machine: Machine
    place: Path
    address: str

    @property
    def volume(self) -> Path:
        """The disk."""
        return self.place / "volume"

    def boot(self) -> None:
        """Attest, try keys, report, deliver; what is delivered opens the volume."""
        self.machine.reboot()
        challenge = self.server.challenge(self.machine)
        request = self.machine.attest_request(challenge).encode()
        reply = parse_attest_reply(self.server.post(protocol.ATTESTATIONS_PATH, request).body)
        released = self.machine.open_release(challenge, reply)
        given = {each.parameters.get("file", ""): each for each in released if not each.use}
        disk = self.place / "disk"
        shutil.rmtree(disk, ignore_errors=True)
        disk.mkdir()
        for name, each in given.items():
            (disk / name).write_bytes(each.value)
        assert self.opens(given["root.pass"].value), "what the boot was given opens the volume"
        self._report(released)

    def _report(self, released: tuple[Opened, ...]) -> None:
        rights = [each for each in released if each.use == "report"]
        if not rights:
            return
        opened = [_opened(each) for each in released]
        ticket, key, wanted = key_report.parse_rights(rights[0].value)
        with open_disk(str(self.volume)) as disk:
            verdicts = try_keys(opened, wanted, [disk], Room(1 << 30, 1 << 30))
        report = key_report.report_of(ticket, key, verdicts)
        assert self.server.post(protocol.KEYS_PATH, report.encode()).status == 200

    def opens(self, key: bytes) -> bool:
        """By cryptsetup, which shares no code with ours."""
        words = ["cryptsetup", "open", "--test-passphrase", "--disable-locks", "--key-file=-"]
        done = subprocess.run(
            [*words, self.volume], input=key, env={"PATH": PATH}, capture_output=True, check=False
        )
        return done.returncode == 0

    def run(self, die: int = 0) -> int:
        """The system starts its script, which ends after so many commands, if at all; its code."""
        (self.place / "count").write_text("0")
        source = self.place / "script"
        source.write_text(script("keys.md", "bash"))
        environment = {
            "PATH": f"{self.place}/bin:{PATH}",
            "REAL_PATH": PATH,
            "PLACE": str(self.place),
            "DIE": str(die),
            "PYKEXEC_DISK": f"{self.place}/disk",
            "PYKEXEC_STATE": f"{self.place}/state",
            "PYKEXEC_UUID": UUID.upper(),
        }
        words = [str(source), self.address, str(self.volume), "root"]
        begin = 'echo $$ >"$PLACE/pid"; exec bash "$@"'
        done = subprocess.run(
            ["bash", "-c", begin, "-", *words], env=environment, capture_output=True, check=False
        )
        assert die or done.returncode == 0, done.stderr.decode()
        return done.returncode

    def versions(self) -> dict[int, str]:
        """Stages of what the server keeps."""
        keys = MachineKeys(self.server.store)
        (state,) = keys.states(self.server.known(self.machine).id)
        return {each.version: each.stage for each in state.generations}

    def slots(self) -> int:
        """How many of the volume are in use."""
        text = run(
            ["cryptsetup", "luksDump", "--dump-json-metadata", self.volume], env={"PATH": PATH}
        )
        return len(json.loads(text)["keyslots"])


def _opened(each: Opened) -> OpenedSecret:
    value = Secret(len(each.value))
    value.view[:] = each.value
    return OpenedSecret(each.name, each.kind, each.parameters, value, each.use)


@pytest.fixture(name="host")
def host_fixture(tmp_path: Path, made: Path) -> Iterator[Host]:
    """A machine whose passphrase has to go."""
    with world(tmp_path) as server, _listening(server) as address:
        machine = Machine()
        machine.facts["uuid"], machine.tries = UUID, True
        server.attest(machine)
        machine_id = server.known(machine).id
        store, keys = server.store, MachineKeys(server.store)
        store.put_secret(machine_id, "root", "luks-passphrase", PARAMETERS, FIRST, ACTOR)
        keys.plan(machine_id, KeyPlan("root", "luks-passphrase", PARAMETERS), ACTOR)
        host = Host(server, machine, tmp_path, address)
        shutil.copy(made, host.volume)
        (tmp_path / "bin").mkdir()
        for name in WRAPPED:
            wrapper = tmp_path / "bin" / name
            wrapper.write_text(WRAPPER.format(name))
            wrapper.chmod(0o755)
        host.boot()
        host.run()
        keys.rotate(machine_id, "root", ACTOR, "it is time")
        yield host


class _listening:
    """The web service at an address of its own, one request at a time."""

    def __init__(self, server: World) -> None:
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {key.lower(): value for key, value in self.headers.items()}
                with lock:
                    answer = server.client.request(self.command, self.path, body, headers)
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = do_POST = answer

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._httpd.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._httpd.server_port}"

    def __exit__(self, *_: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()


def _go_on(host: Host) -> None:
    """Boot until the rotation is over: four times are enough from anywhere."""
    for _ in range(4):
        host.boot()
        host.run()
        if len(host.versions()) == 1 and 1 not in host.versions():
            break
    (version,) = host.versions()
    assert host.versions() == {version: "current"}
    assert (host.opens(FIRST), host.slots()) == (False, 1)
    host.boot()
    assert host.server.store.verify_audit().faults == ()


def test_a_rotation_that_nothing_ends_early(host: Host) -> None:
    host.run()
    assert (host.versions(), host.slots()) == ({1: "current", 2: "next"}, 2)
    host.boot()
    assert host.versions() == {1: "previous", 2: "current"}
    host.run()
    assert host.opens(FIRST), "this boot was given the old one"
    host.boot()
    host.run()
    assert (host.versions(), host.slots()) == ({2: "current"}, 1)
    assert not host.opens(FIRST)
    assert {path.name for path in (host.place / "state").iterdir()} == {"root.2"}


# What the script has done by then: asked, made, renamed, added, handed in, renamed.
@pytest.mark.parametrize("die", [1, 3, 4, 5, 6])
def test_a_new_generation_that_was_begun_is_gone_on_with(host: Host, die: int) -> None:
    assert host.run(die) != 0
    _go_on(host)


# Asked, looked at both keys, removed the slot, said so.
@pytest.mark.parametrize("die", [3, 4, 5])
def test_a_removal_that_was_begun_is_gone_on_with(host: Host, die: int) -> None:
    host.run()
    host.boot()
    host.run()
    host.boot()
    assert host.run(die) != 0
    assert host.versions()[2] == "current"
    _go_on(host)


def test_what_the_script_made_and_does_not_fit_is_replaced(host: Host) -> None:
    machine_id = host.server.known(host.machine).id
    MachineKeys(host.server.store).escrow(machine_id, "root", b"a slip of the pen")
    host.boot()
    assert host.versions() == {1: "current"}
    _go_on(host)


def test_a_token_of_another_machine_changes_nothing(host: Host) -> None:
    file = host.place / "disk" / escrow.FILE
    file.write_text(file.read_text().replace("pykexec_escrow_", "pykexec_escrow_A"))
    with pytest.raises(AssertionError, match="401"):
        host.run()
    assert (host.versions(), host.slots()) == ({1: "current"}, 1)
