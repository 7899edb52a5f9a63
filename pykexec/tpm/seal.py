# SPDX-License-Identifier: Apache-2.0
"""Data that the TPM gives out again in a certain state, or for an authorisation value, alone.

TPM 2.0 Library Specification, Part 3, 12.1 (Create), 12.7 (Unseal), 23.7 (PolicyPCR), 23.17
(PolicyAuthValue). Data cross the bus encrypted; that protects from whoever listens, not from who
stands in between and answers in the TPM's place: nobody vouches for the storage key.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykexec.errors import TpmError
from pykexec.tpm.command import Command, execute
from pykexec.tpm.constants import Attribute, CommandCode, SessionAttribute
from pykexec.tpm.objects import Key
from pykexec.tpm.pcr import selection
from pykexec.tpm.public import Public, SealedData, parse_public
from pykexec.tpm.session import Session, Use
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import Buffer, Reader, WireError, sized

if TYPE_CHECKING:
    from pykexec.secret import Secret

DATA_MAX = 128  # MAX_SYM_DATA
HASH_NAME = "sha256"
"""That of sealed objects' Names and policies."""

_NO_POLICY = bytes(hashlib.new(HASH_NAME).digest_size)
_NO_PCRS = struct.pack(">I", 0)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What Create gives: TPMT_PUBLIC, and the content of TPM2B_PRIVATE, encrypted by the TPM."""

    public: bytes
    private: bytes

    def encode(self) -> bytes:
        """Both as TPM2B, one after the other."""
        return sized(self.private) + sized(self.public)


def parse_sealed(data: bytes) -> Sealed:
    """Take Sealed.encode() apart; WireError if that is not what it is."""
    reader = Reader(data, "sealed object")
    private, public = reader.sized(), reader.sized()
    reader.end()
    if not isinstance(parse_public(public).key, SealedData):
        raise WireError("sealed object: it is something else")
    return Sealed(public, private)


@dataclass(frozen=True, slots=True)
class Condition:
    """When sealed data are given out: registers of a bank, an authorisation value, or both."""

    bank: str
    pcrs: tuple[int, ...]
    auth: Buffer

    @property
    def by_policy(self) -> bool:
        """Whether it takes a policy session."""
        return bool(self.pcrs)


def condition(bank: str, pcrs: Iterable[int], auth: Buffer) -> Condition:
    """TpmError where there would be none."""
    numbers = tuple(sorted(set(pcrs)))
    if not numbers and not auth:
        raise TpmError("sealed data need PCRs or an authorisation value")
    if len(auth) > len(_NO_POLICY):
        raise TpmError(f"authorisation value: {len(auth)} bytes, {len(_NO_POLICY)} at most")
    return Condition(bank, numbers, auth)


def policy_digest(when: Condition, values: Mapping[int, bytes]) -> bytes:
    """The policy of data sealed to these values of when's registers; b"" if there is none."""
    if not when.by_policy:
        return b""
    if missing := set(when.pcrs) - values.keys():
        raise TpmError(f"bank {when.bank} has no value of PCR {min(missing)}")
    digest = hashlib.new(HASH_NAME, b"".join(values[pcr] for pcr in when.pcrs)).digest()
    step = struct.pack(">I", CommandCode.POLICY_PCR) + selection(when.bank, when.pcrs) + digest
    policy = hashlib.new(HASH_NAME, _NO_POLICY + step).digest()
    if when.auth:
        step = struct.pack(">I", CommandCode.POLICY_AUTH_VALUE)
        policy = hashlib.new(HASH_NAME, policy + step).digest()
    return policy


def template(when: Condition, policy: bytes) -> Public:
    """The public area of data sealed so."""
    attributes = Attribute.FIXED_TPM | Attribute.FIXED_PARENT
    if not when.by_policy:
        attributes |= Attribute.USER_WITH_AUTH
    if not when.auth:
        # Nothing to guess: such data are there in lockout, too.
        attributes |= Attribute.NO_DA
    return Public(HASH_NAME, attributes, policy, None, None, SealedData(b""))


def create_sealed(
    transmit: Transmit, parent: Key, session: Session, data: Buffer, when: Condition, policy: bytes
) -> Sealed:
    """TPM2_Create below parent, by an HMAC session that keeps data and value from the bus."""
    from pykexec.secret import Secret

    if not 0 < len(data) <= DATA_MAX:
        raise TpmError(f"a TPM seals 1 to {DATA_MAX} bytes, not {len(data)}")
    wanted = template(when, policy)
    rest = sized(wanted.encode()) + sized(b"") + _NO_PCRS
    auth_size, data_size = (struct.pack(">H", len(part)) for part in (when.auth, data))
    with Secret(2 + len(when.auth) + 2 + len(data)) as sensitive:
        offset = 0
        for part in (auth_size, when.auth, data_size, data):
            sensitive.view[offset : offset + len(part)] = part
            offset += len(part)
        command = Command(CommandCode.CREATE, (parent.entity,), first=sensitive.view, rest=rest)
        use = Use(session, SessionAttribute.DECRYPT)
        reader = execute(transmit, command, [use]).reader
    private, public = reader.sized(), reader.sized()
    return Sealed(public, private)


def satisfy(transmit: Transmit, session: Session, when: Condition) -> None:
    """Bring a policy session to what policy_digest() has, if the registers are so now."""
    pcr = Command(
        CommandCode.POLICY_PCR,
        (session.entity,),
        rest=sized(b"") + selection(when.bank, when.pcrs),
    )
    execute(transmit, pcr).reader.end()
    if when.auth:
        execute(transmit, Command(CommandCode.POLICY_AUTH_VALUE, (session.entity,))).reader.end()


def unseal(transmit: Transmit, sealed: Key, session: Session, auth: Buffer) -> Secret:
    """TPM2_Unseal of a loaded object; the data reach nobody but the result."""
    command = Command(CommandCode.UNSEAL, (sealed.entity,))
    use = Use(session, SessionAttribute.ENCRYPT, auth)
    response = execute(transmit, command, [use])
    secret = response.secret()
    response.reader.end()
    return secret
