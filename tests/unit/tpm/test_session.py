# SPDX-License-Identifier: Apache-2.0
"""Who listens on the bus learns nothing, who alters a response is noticed."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from pykexec.errors import TpmError
from pykexec.secret import Secret
from pykexec.tpm.client import Tpm
from pykexec.tpm.command import Command, Password, execute
from pykexec.tpm.constants import Algorithm, CommandCode, Curve, SessionAttribute, SessionType
from pykexec.tpm.ek import authorize
from pykexec.tpm.loaded import flush, loaded_handles
from pykexec.tpm.pcr import selection
from pykexec.tpm.public import EccKey, SealedData
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.session import Use
from pykexec.tpm.start_session import start_session
from pykexec.tpm.templates import EK_KINDS
from pykexec.tpm.wire import sized
from pykexec.verify.credential import make_credential
from tests.support.software_tpm import SoftwareTpm, software_tpm

CREDENTIAL = b"the credential, of thirty-two by"
DATA = b"sealed data, for nobody to see"
VALUE = b"authorisation value"


@dataclass(slots=True)
class Bus:
    """Between client and TPM: records all bytes, alters one of a response to alters."""

    swtpm: SoftwareTpm
    seen: bytes = b""
    alters: CommandCode | None = None
    offset: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    responses: list[tuple[int, bytes]] = field(default_factory=list)

    def __call__(self, command: bytes) -> bytes:
        code = int.from_bytes(command[6:10], "big")
        response = self.swtpm(command)
        if code == self.alters:
            altered = bytearray(response)
            altered[self.offset] ^= 0x40
            response = bytes(altered)
        self.sizes[code] = len(response)
        self.responses.append((code, response))
        self.seen += command + response
        return response


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    with software_tpm(tmp_path_factory.mktemp("tpm")) as running:
        yield running


@pytest.fixture
def bus(swtpm: SoftwareTpm) -> Iterator[Bus]:
    yield Bus(swtpm)
    assert loaded_handles(swtpm) == set()


def activate(tpm: Tpm, kind: str = "ecc-p256") -> bytes:
    ak, ek = tpm.ak(), tpm.ek(kind)
    blob, secret = make_credential(ek.area, ak.name, CREDENTIAL)
    with tpm.activate_credential(ak, ek, blob, secret) as credential:
        return bytes(credential.view)


def unseal(tpm: Tpm) -> bytes:
    sealed = tpm.seal(DATA, auth=VALUE)
    with tpm.unseal(sealed, auth=VALUE) as secret:
        return bytes(secret.view)


@pytest.mark.parametrize("kind", EK_KINDS)
def test_the_credential_does_not_cross_the_bus(bus: Bus, kind: str) -> None:
    with Tpm(bus) as tpm:
        assert activate(tpm, kind) == CREDENTIAL
    assert CREDENTIAL not in bus.seen


def test_without_encryption_the_credential_would_be_seen(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        ak, ek = tpm.ak(), tpm.ek("ecc-p256")
        blob, secret = make_credential(ek.area, ak.name, CREDENTIAL)
        session = start_session(bus, SessionType.POLICY, ek.entity, ek.area, lambda _: None)
        authorize(bus, ek, session)
        entities = (ak.entity, ek.entity)
        command = Command(CommandCode.ACTIVATE_CREDENTIAL, entities, blob, sized(secret))
        execute(bus, command, [Password(), Use(session, SessionAttribute(0))])
    assert CREDENTIAL in bus.seen


def test_neither_sealed_data_nor_their_value_cross_the_bus(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        assert unseal(tpm) == DATA
    assert DATA not in bus.seen and VALUE not in bus.seen


def test_data_sealed_to_registers_do_not_cross_the_bus(bus: Bus) -> None:
    with Tpm(bus) as tpm, tpm.unseal(tpm.seal(DATA, pcrs=[7]), pcrs=[7]) as secret:
        assert bytes(secret.view) == DATA
    assert DATA not in bus.seen


def test_the_same_data_look_different_each_time(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        for _ in range(2):
            unseal(tpm)
    success = bytes(4)  # Else it is still testing itself, and is asked again.
    start = 10 + 4 + 2  # Behind header, size of the parameters and size of the data.
    first, second = (
        response[start : start + len(DATA)]
        for code, response in bus.responses
        if code == CommandCode.UNSEAL and response[6:10] == success
    )
    assert first != second


@pytest.mark.parametrize(
    ("code", "operation", "result", "step"),
    [
        (CommandCode.ACTIVATE_CREDENTIAL, activate, CREDENTIAL, 1),
        (CommandCode.UNSEAL, unseal, DATA, 1),
        # 600 bytes, all of them covered alike by one HMAC.
        (CommandCode.CREATE, unseal, DATA, 7),
    ],
)
def test_no_byte_of_a_protected_response_can_be_altered(
    bus: Bus, code: CommandCode, operation: Callable[[Tpm], bytes], result: bytes, step: int
) -> None:
    with Tpm(bus) as tpm:
        assert operation(tpm) == result
        bus.alters = code
        for offset in range(0, bus.sizes[code], step):
            bus.offset = offset
            with pytest.raises(TpmError):
                operation(tpm)
        bus.alters = None
        assert operation(tpm) == result


def test_an_altered_response_is_called_so(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        activate(tpm)
        bus.alters, bus.offset = CommandCode.ACTIVATE_CREDENTIAL, 20
        with pytest.raises(TpmError, match="response was altered on its way"):
            activate(tpm)


def test_an_earlier_response_is_refused(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        ek = tpm.ek("ecc-p256")
        session = start_session(bus, SessionType.HMAC, ek.entity, ek.area, lambda _: None)
        use = Use(session, SessionAttribute.CONTINUE | SessionAttribute.ENCRYPT)
        read = Command(CommandCode.READ_PUBLIC, (ek.entity,))
        responses: list[bytes] = []

        def recorded(command: bytes) -> bytes:
            responses.append(bus(command))
            return responses[-1]

        execute(recorded, read, [use])
        execute(recorded, read, [use])
        with pytest.raises(TpmError, match="was altered"):
            execute(lambda _: responses[0], read, [use])
        flush(bus, session.handle)


BOTH = SessionAttribute.DECRYPT | SessionAttribute.ENCRYPT


@pytest.mark.parametrize(
    "others", [(BOTH,), (SessionAttribute.DECRYPT, SessionAttribute.ENCRYPT)], ids=["one", "two"]
)
def test_one_session_may_authorise_and_others_encrypt(
    bus: Bus, others: tuple[SessionAttribute, ...]
) -> None:
    with Tpm(bus) as tpm:
        ak = tpm.ak()
        ek = tpm.ek("ecc-p256")
        uses = [
            Use(
                start_session(bus, SessionType.HMAC, ek.entity, ek.area, lambda _: None),
                SessionAttribute.CONTINUE | attributes,
            )
            for attributes in (SessionAttribute(0), *others)
        ]
        rest = struct.pack(">H", Algorithm.NULL) + selection("sha256", [0])
        command = Command(CommandCode.QUOTE, (ak.entity,), DATA, rest)
        with execute(bus, command, uses).secret() as attest:
            assert DATA in bytes(attest.view)
        for use in uses:
            flush(bus, use.session.handle)
    assert DATA not in bus.seen


def test_a_command_that_was_altered_is_refused_by_the_tpm(bus: Bus) -> None:
    def altered(command: bytes) -> bytes:
        if int.from_bytes(command[6:10], "big") == CommandCode.ACTIVATE_CREDENTIAL:
            command = command[:-1] + bytes([command[-1] ^ 1])
        return bus(command)

    with Tpm(altered) as tpm, pytest.raises(ResponseError, match="TPM_RC_BAD_AUTH, session 2"):
        activate(tpm)


def test_a_wrong_value_is_not_sent(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        sealed = tpm.seal(DATA, auth=VALUE)
        with pytest.raises(ResponseError, match="TPM_RC_AUTH_FAIL"):
            tpm.unseal(sealed, auth=b"wrong, but near")
    assert b"wrong, but near" not in bus.seen
    bus.swtpm.tool("tpm2_dictionarylockout -Q -c")


@pytest.mark.parametrize("x", [bytes(32), b"\1" * 32, b"\1" * 33])
def test_no_session_is_salted_by_a_key_that_is_none(bus: Bus, x: bytes) -> None:
    with Tpm(bus) as tpm:
        ek = tpm.ek("ecc-p256")
        none = replace(ek.area, key=EccKey(Curve.P256, x, bytes(32)))
        for area in (none, replace(ek.area, key=SealedData(b""))):
            with pytest.raises(TpmError, match="key"):
                start_session(bus, SessionType.HMAC, ek.entity, area, lambda _: None)


def test_a_session_needs_a_whole_nonce_of_the_tpm(bus: Bus) -> None:
    def shortened(command: bytes) -> bytes:
        response = bus(command)
        if len(response) < 48:
            return response
        return response[:5] + b"\x2f" + response[6:14] + b"\0\x1f" + response[16:-1]

    with Tpm(bus) as tpm:
        ek = tpm.ek("ecc-p256")
        opened: list[int] = []
        with pytest.raises(TpmError, match="nonce of 31 bytes"):
            start_session(shortened, SessionType.HMAC, ek.entity, ek.area, opened.append)
        flush(bus, opened[0])


def test_secrets_have_no_text(bus: Bus) -> None:
    with Tpm(bus) as tpm:
        ak, ek = tpm.ak(), tpm.ek("ecc-p256")
        blob, secret = make_credential(ek.area, ak.name, os.urandom(32))
        credential = tpm.activate_credential(ak, ek, blob, secret)
    assert isinstance(credential, Secret)
    assert repr(credential) == "<secret>"
