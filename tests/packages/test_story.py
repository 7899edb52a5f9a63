# SPDX-License-Identifier: Apache-2.0
"""From nothing to the first released key, by the commands of the documentation."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykexec.attest.client import Server, attest
from pykexec.errors import DeniedError
from pykexec.tpm.client import Tpm
from tests.packages.debian import START_S, Debian
from tests.support.booted_tpm import Booted, booted_tpm
from tests.support.documented import commands
from tests.support.running_server import wait

PAGE = "server-install.md"
PASSWORD = "correct horse battery staple"
KEY = b"the key of the volume"
ADDRESS = "https://localhost:8443"
# What the unit starts, as it starts it.
SERVE = """
. /etc/os-release
words=$(sed -n 's/^PYKEXEC_SERVE=//p' /etc/pykexec/server.env)
exec runuser -u pykexec -- /usr/lib/pykexec/bin/pykexec serve $words
"""
READY = """
/usr/lib/pykexec/bin/python3 - <<'END'
import ssl, urllib.request
trust = ssl.create_default_context(cafile="/srv/ca.pem")
print(urllib.request.urlopen("https://localhost:8443/readyz", context=trust).status)
END
"""


def install(debian: Debian, package: Path) -> None:
    """As the page has it, in the place of a checkout where it was built."""
    debian.put(package, f"build/deb/{package.name}")
    built, installed = commands(PAGE, "The package")
    assert built == "make deb"
    debian.run(installed.replace("apt install", "apt-get install --yes"))


def certify(debian: Debian) -> None:
    """Under an authority of one's own."""
    for command in commands(PAGE, "A certificate"):
        debian.run(f"NAME=localhost\n{command}")


@contextmanager
def serving(debian: Debian, log: Path) -> Iterator[None]:
    """Started as by the unit."""
    with log.open("wb") as output:
        process = subprocess.Popen(debian.command(SERVE), stdout=output, stderr=output)
    try:
        wait(lambda: process.poll() is not None or ready(debian), within=START_S)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def ready(debian: Debian) -> bool:
    """Whether it answers so."""
    asked = subprocess.run(debian.command(READY), capture_output=True, check=False)
    return asked.stdout == b"200\n"


def released(debian: Debian, booted: Booted, tpm: Tpm) -> bytes:
    """What a machine is given that attests by our agent's client."""
    authority = debian.run("cat ca.pem")
    with (
        attest(Server(ADDRESS, authority, timeout_s=60), tpm, booted.facts) as answer,
        answer.open_release(lambda: booted.spend(tpm)) as release,
    ):
        (secret,) = release.secrets
        return bytes(secret.value.view)


def test_the_page_leads_to_the_first_released_key(
    debian: Debian, package: Path, tmp_path: Path
) -> None:
    install(debian, package)
    certify(debian)
    init, token, start = commands(PAGE, "The database")
    # Without a terminal the password has to come from somewhere.
    debian.run(f"{init} --password-file -", stdin=PASSWORD)
    debian.run(token)
    assert debian.run(start) == "systemctl enable --now pykexec-server\n"
    export, first_use, pending, attestations, *rest = commands(PAGE, "The first key")
    known = f"NAME=localhost\n{export}\n"
    with (
        serving(debian, tmp_path / "log"),
        booted_tpm(tmp_path / "tpm") as booted,
        Tpm(booted.transmit) as tpm,
    ):
        debian.run(f"{known}{first_use}")
        with pytest.raises(DeniedError, match=r"machine\.pending"):
            released(debian, booted, tpm)
        (machine,) = json.loads(debian.run(f"{known}{pending.split('#')[0]} --json"))
        known += f"MACHINE={machine['fingerprint'][:8]}\n"
        debian.run(f"{known}{attestations}")
        debian.run(f"printf '%s' '{KEY.decode()}' > root.key")
        for command in rest:
            debian.run(f"{known}NUMBER=1\n{command}")
        assert released(debian, booted, tpm) == KEY
