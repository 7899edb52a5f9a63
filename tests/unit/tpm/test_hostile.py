# SPDX-License-Identifier: Apache-2.0
"""Whatever a TPM answers, or says is its own, there is a result or a TpmError, nothing else."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pykexec.errors import TpmError
from pykexec.tpm.client import Tpm
from pykexec.tpm.constants import CommandCode, Handle
from pykexec.tpm.ek import Ek
from pykexec.tpm.loaded import flush, loaded_handles
from pykexec.tpm.objects import create_primary, load, read_public
from pykexec.tpm.seal import Sealed
from pykexec.tpm.templates import AK_TEMPLATE, STORAGE_TEMPLATE
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import WireError, sized
from tests.support.software_tpm import SoftwareTpm, software_tpm

ROUNDS = 250


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    """With a certificate to read and a persistent key to look at."""
    with software_tpm(tmp_path_factory.mktemp("tpm")) as running:
        (running.directory / "nv").write_bytes(b"\x30\x82\x03\x00" + bytes(768))
        attributes = "ppwrite|ppread|authread|ownerread|no_da|platformcreate"
        running.tool(f"tpm2_nvdefine -Q -C p -s 772 -a {attributes} 0x1c0000a")
        running.tool("tpm2_nvwrite -Q -C p -i nv 0x1c0000a")
        running.tool_keeping("tpm2_createek -Q -G ecc -c 0x81010001")
        yield running


@dataclass(slots=True)
class Mutant:
    """Spoils some responses, each in another way."""

    swtpm: SoftwareTpm
    chance: random.Random

    def __call__(self, command: bytes) -> bytes:
        response = self.swtpm(command)
        return self.spoil(response) if self.chance.random() < 0.25 else response

    def spoil(self, response: bytes) -> bytes:
        size = len(response)
        at = self.chance.randrange(size)
        ways: list[Callable[[], bytes]] = [
            lambda: response[:at],
            lambda: framed(response[: max(at, 10)]),
            lambda: response + self.chance.randbytes(at + 1),
            lambda: framed(response + self.chance.randbytes(at + 1)),
            lambda: self.chance.randbytes(size),
            lambda: response[:10] + self.chance.randbytes(size - 10),
            lambda: response[:at] + b"\xff\xff" + response[at + 2 :],
            lambda: response[:at] + b"\0\0" + response[at + 2 :],
            lambda: response[:at] + self.chance.randbytes(1) + response[at + 1 :],
            lambda: framed(response[:at] + response[at + 1 :]) if at > 9 else response,
            lambda: struct.pack(">HII", 0x8001, 10, self.chance.randrange(1, 0x900)),
            lambda: b"",
        ]
        return self.chance.choice(ways)()


def framed(response: bytes) -> bytes:
    """With the size that it has."""
    return response[:2] + struct.pack(">I", len(response)) + response[6:]


def attempt(operation: Callable[[], object]) -> bool:
    """Whether it succeeds; TpmError alone is no success."""
    try:
        operation()
    except TpmError:
        return False
    return True


def use_all(tpm: Tpm, good: tuple[Ek, Sealed]) -> list[bool]:
    ek, sealed = good
    return [
        attempt(operation)
        for operation in (
            tpm.active_banks,
            lambda: tpm.read_pcrs("sha256", range(24)),
            lambda: tpm.event(16, b"event"),
            lambda: tpm.extend(16, {"sha256": bytes(32)}),
            tpm.best_ek,
            lambda: tpm.quote(tpm.ak(), bytes(32), "sha256", range(16)),
            lambda: tpm.activate_credential(tpm.ak(), ek, bytes(68), bytes(68)),
            tpm.close,
            lambda: tpm.seal(b"data", pcrs=[0]),
            lambda: tpm.unseal(sealed, pcrs=[0]),
        )
    ]


def test_spoiled_responses_end_in_a_tpm_error(swtpm: SoftwareTpm) -> None:
    with Tpm(swtpm) as tpm:
        good = tpm.ek("ecc-p256"), tpm.seal(b"data", pcrs=[0])
    outcomes: list[bool] = []
    for seed in range(ROUNDS):
        with Tpm(Mutant(swtpm, random.Random(seed))) as tpm:
            outcomes += use_all(tpm, good)
        for handle in loaded_handles(swtpm):
            flush(swtpm, handle)
    # Both happen often: what is tested is neither the first line nor nothing at all.
    assert outcomes.count(True) > ROUNDS
    assert outcomes.count(False) > ROUNDS


def answering(swtpm: SoftwareTpm, code: CommandCode, change: Callable[[bytes], bytes]) -> Transmit:
    """A TPM whose responses to one command are changed, and have the right size again."""

    def transmit(command: bytes) -> bytes:
        response = swtpm(command)
        if int.from_bytes(command[6:10], "big") != code:
            return response
        return framed(change(response))

    return transmit


def altered(offset: int) -> Callable[[bytes], bytes]:
    """One bit of the byte at an offset, which may count from the end."""

    def change(response: bytes) -> bytes:
        data = bytearray(response)
        data[offset] ^= 1
        return bytes(data)

    return change


def test_a_new_key_must_have_its_own_name(swtpm: SoftwareTpm) -> None:
    # Behind the name is the answer to a password, of five bytes.
    spoiled = answering(swtpm, CommandCode.CREATE_PRIMARY, altered(-6))
    with Tpm(spoiled) as tpm, pytest.raises(WireError, match="does not fit the template"):
        tpm.ak()
    assert loaded_handles(swtpm) == set()


def test_a_new_key_must_be_of_its_template(swtpm: SoftwareTpm) -> None:
    """A TPM that makes storage keys whatever it is asked for."""

    def obstinate(command: bytes) -> bytes:
        wanted, given = sized(AK_TEMPLATE.encode()), sized(STORAGE_TEMPLATE.encode())
        changed = command.replace(wanted, given)
        return swtpm(framed(changed))

    with Tpm(obstinate) as tpm, pytest.raises(WireError, match="does not fit the template"):
        tpm.ak()
    assert loaded_handles(swtpm) == set()


def test_a_password_has_one_answer(swtpm: SoftwareTpm) -> None:
    spoiled = answering(swtpm, CommandCode.PCR_EXTEND, altered(-3))
    with Tpm(spoiled) as tpm, pytest.raises(WireError, match="does not fit a password"):
        tpm.extend(16, {"sha256": bytes(32)})


def test_a_persistent_key_must_have_its_own_name(swtpm: SoftwareTpm) -> None:
    key, _ = read_public(swtpm, 0x81010001)
    assert key.area.name == key.name
    spoiled = answering(swtpm, CommandCode.READ_PUBLIC, altered(-40))
    with pytest.raises(WireError, match="does not fit the question"):
        read_public(spoiled, 0x81010001)


@pytest.mark.parametrize("offset", [15, 20, -1])
def test_an_nv_index_must_have_its_own_name(swtpm: SoftwareTpm, offset: int) -> None:
    spoiled = answering(swtpm, CommandCode.NV_READ_PUBLIC, altered(offset))
    with Tpm(spoiled) as tpm, pytest.raises(WireError, match="does not fit the question"):
        tpm.ek("ecc-p256")


def test_a_certificate_must_come_whole(swtpm: SoftwareTpm) -> None:
    def shortened(response: bytes) -> bytes:
        return response[:10] + struct.pack(">IH", 3, 1) + response[16:17] + response[-5:]

    spoiled = answering(swtpm, CommandCode.NV_READ, shortened)
    with Tpm(spoiled) as tpm, pytest.raises(WireError, match="1 bytes instead of 772"):
        tpm.ek("ecc-p256")


def test_a_loaded_object_must_have_its_own_name(swtpm: SoftwareTpm) -> None:
    with Tpm(swtpm) as tpm:
        sealed = tpm.seal(b"data", pcrs=[0])
    made: list[int] = []
    parent = create_primary(swtpm, Handle.OWNER, STORAGE_TEMPLATE, made.append)
    spoiled = answering(swtpm, CommandCode.LOAD, altered(-6))
    with pytest.raises(TpmError, match="does not fit the question"):
        load(spoiled, parent, sealed.public, sealed.private, made.append)
    assert loaded_handles(swtpm) == set(made)
    for handle in made:
        flush(swtpm, handle)


@pytest.mark.parametrize("values", [b"", bytes(68), bytes(1024), bytes(70000)])
def test_a_credential_that_is_none_is_refused(swtpm: SoftwareTpm, values: bytes) -> None:
    with Tpm(swtpm) as tpm, pytest.raises(TpmError):
        tpm.activate_credential(tpm.ak(), tpm.ek("ecc-p256"), values, values)
    assert loaded_handles(swtpm) == set()


def test_a_tpm_that_goes_away_is_closed_all_the_same(swtpm: SoftwareTpm) -> None:
    there = True

    def transmit(command: bytes) -> bytes:
        if not there:
            raise TpmError("gone")
        return swtpm(command)

    with Tpm(transmit) as tpm:
        handle = tpm.ak().handle
        there = False
    flush(swtpm, handle)
