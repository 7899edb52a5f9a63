# SPDX-License-Identifier: Apache-2.0
"""A booted TPM, and a server that judges its evidence or fails as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykexec.attest.client import Server
from pykexec.tpm.client import Tpm
from pykexec.tpm.loaded import loaded_handles
from pykexec.verify.release import PlainSecret
from tests.support.attest_judge import Judge
from tests.support.booted_tpm import Booted, booted_tpm
from tests.support.https_server import HttpsServer, https_server
from tests.support.samples_tls import Certified, certified

SECRETS = (
    PlainSecret("root", "luks-key", {"volume": "root"}, bytearray(b"\x00\xffkey")),
    PlainSecret("note", "file", {"file": "note.txt"}, bytearray(b"hello")),
)


@pytest.fixture(scope="module", name="booted")
def booted_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    with booted_tpm(tmp_path_factory.mktemp("tpm")) as booted:
        yield booted


@pytest.fixture(scope="module", name="tls")
def tls_fixture(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture(name="tpm")
def tpm_fixture(booted: Booted) -> Iterator[Tpm]:
    """A client; whatever a test does, nothing may be left loaded."""
    with Tpm(booted.transmit) as tpm:
        yield tpm
    assert loaded_handles(booted.transmit) == set()


@pytest.fixture(name="judge")
def judge_fixture() -> Judge:
    return Judge(SECRETS)


@pytest.fixture(name="server")
def server_fixture(judge: Judge, tls: Certified) -> Iterator[HttpsServer]:
    with https_server(tls, judge) as server:
        yield server


@pytest.fixture(name="whom")
def whom_fixture(server: HttpsServer, tls: Certified) -> Server:
    return Server(server.address, tls.authority.read_text(), timeout_s=20, silence_s=5)
