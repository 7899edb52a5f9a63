# SPDX-License-Identifier: Apache-2.0
"""The TPM 2.0 as attestation needs it: keys, quotes, credentials, registers, sealed data."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from pykexec.errors import PykexecError, TpmError
from pykexec.tpm import capability, pcr
from pykexec.tpm.command import Command, Password, execute
from pykexec.tpm.constants import (
    Algorithm,
    CommandCode,
    Handle,
    SessionAttribute,
    SessionType,
)
from pykexec.tpm.ek import Ek, authorize, certified_kinds, ek_indexes, load_ek
from pykexec.tpm.loaded import flush
from pykexec.tpm.objects import Key, create_primary, load
from pykexec.tpm.session import Session, Use
from pykexec.tpm.start_session import start_session
from pykexec.tpm.templates import AK_TEMPLATE, EK_KINDS, STORAGE_TEMPLATE
from pykexec.tpm.transport import RAW_DEVICE, RESOURCE_MANAGER, Transmit, opened, patient
from pykexec.tpm.wire import Buffer, sized

if TYPE_CHECKING:
    from pykexec.secret import Secret
    from pykexec.tpm.seal import Sealed

log = logging.getLogger(__name__)

__all__ = ["Ek", "Key", "Tpm", "Usage", "open_tpm"]


@dataclass(slots=True)
class Usage:
    """Commands that the TPM was given, and how long it took to answer them."""

    commands: int = 0
    seconds: float = 0.0


class Tpm:
    """A TPM by its transport, which must keep what is loaded from one command to the next.

    All of it is flushed by close(), or at the end of a with statement. Every method raises
    TpmError: ResponseError when the TPM refuses, another for a response that makes no sense.
    """

    def __init__(self, transmit: Transmit) -> None:
        self.usage = Usage()
        self._transmit = patient(self._measured(transmit))
        self._loaded: list[int] = []
        self._eks: dict[str, Ek] = {}
        self._ak: Key | None = None
        self._indexes: frozenset[int] | None = None

    def __enter__(self) -> Tpm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flush what was loaded; what the TPM does not let go is logged."""
        while self._loaded:
            self._flush(self._loaded[-1])
        self._eks.clear()
        self._ak = None

    def ek(self, kind: str) -> Ek:
        """The EK "rsa2048", "ecc-p256" or "ecc-p384", by the manufacturer's template if it has
        left one, else the TCG's; with its certificates from NV, if there are some.
        """
        if kind not in self._eks:
            indexes = self._ek_indexes()
            self._eks[kind] = load_ek(self._transmit, kind, indexes, self._loaded.append)
        return self._eks[kind]

    def best_ek(self) -> Ek:
        """Of those with a certificate ECC P-256, P-384 or RSA, in this order; else ECC P-256."""
        for kind in certified_kinds(self._ek_indexes()):
            known = kind in self._eks
            try:
                found = self.ek(kind)
            except TpmError as error:
                log.warning("TPM: EK %s: %s", kind, error)
                continue
            if found.certificates:
                return found
            if not known:
                self._flush(self._eks.pop(kind).handle)
        return self.ek(EK_KINDS[0])

    def ak(self) -> Key:
        """The attestation key: ECC P-256, signs what the TPM attests, the same at every boot."""
        if self._ak is None:
            hierarchy = Handle.ENDORSEMENT  # Elsewhere quotes hide counters and firmware version.
            self._ak = create_primary(self._transmit, hierarchy, AK_TEMPLATE, self._loaded.append)
        return self._ak

    def quote(
        self, ak: Key, qualifying_data: bytes, bank: str, pcrs: Iterable[int]
    ) -> tuple[bytes, bytes]:
        """TPM2_Quote: TPMS_ATTEST, and TPMT_SIGNATURE by the key's own scheme."""
        command = Command(
            CommandCode.QUOTE,
            (ak.entity,),
            first=qualifying_data,
            rest=struct.pack(">H", Algorithm.NULL) + pcr.selection(bank, pcrs),
        )
        reader = execute(self._transmit, command, [Password()]).reader
        return reader.sized(), reader.rest()

    def activate_credential(self, ak: Key, ek: Ek, blob: bytes, secret: bytes) -> Secret:
        """What MakeCredential has put into blob for this EK and AK, encrypted on the bus.

        blob and secret are the contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
        """
        command = Command(
            CommandCode.ACTIVATE_CREDENTIAL,
            (ak.entity, ek.entity),
            first=blob,
            rest=sized(secret),
        )
        with self._session(SessionType.POLICY, ek) as session:
            authorize(self._transmit, ek, session)
            use = Use(session, SessionAttribute.ENCRYPT)
            response = execute(self._transmit, command, [Password(), use])
            credential = response.secret()
            response.reader.end()
            self._loaded.remove(session.handle)
        return credential

    def active_banks(self) -> tuple[str, ...]:
        """PCR banks that have registers: ("sha256", "sha384")."""
        return capability.active_banks(self._transmit)

    def read_pcrs(self, bank: str, pcrs: Iterable[int]) -> dict[int, bytes]:
        """Values by number; those that the TPM does not have are left out."""
        return pcr.read_pcrs(self._transmit, bank, pcrs)

    def extend(self, number: int, digests: Mapping[str, bytes]) -> None:
        """Extend a register with a digest for each of these banks."""
        pcr.extend(self._transmit, number, digests)

    def event(self, number: int, data: bytes) -> dict[str, bytes]:
        """Extend a register with data's digests in all active banks; these digests."""
        return pcr.event(self._transmit, number, data)

    def seal(
        self,
        data: Buffer | Secret,
        *,
        bank: str = "sha256",
        pcrs: Iterable[int] = (),
        values: Mapping[int, bytes] | None = None,
        auth: Buffer = b"",
    ) -> Sealed:
        """Data (128 bytes at most) that unseal() gives while these registers are as in values, or
        as they are now, and to who has auth; at least one of both must be asked for.
        """
        from pykexec.tpm import seal

        when = seal.condition(bank, pcrs, auth)
        if when.by_policy and values is None:
            values = self.read_pcrs(bank, when.pcrs)
        policy = seal.policy_digest(when, values or {})
        view = data if isinstance(data, Buffer) else data.view
        with self._storage_key() as parent, self._session(SessionType.HMAC, parent) as session:
            sealed = seal.create_sealed(self._transmit, parent, session, view, when, policy)
            self._loaded.remove(session.handle)
        return sealed

    def unseal(
        self,
        sealed: Sealed,
        *,
        bank: str = "sha256",
        pcrs: Iterable[int] = (),
        auth: Buffer = b"",
    ) -> Secret:
        """What seal() was given, with the same registers and auth; encrypted on the bus."""
        from pykexec.tpm import seal

        when = seal.condition(bank, pcrs, auth)
        kind = SessionType.POLICY if when.by_policy else SessionType.HMAC
        with self._storage_key() as parent, self._session(kind, parent) as session:
            if when.by_policy:
                seal.satisfy(self._transmit, session, when)
            loaded = load(
                self._transmit, parent, sealed.public, sealed.private, self._loaded.append
            )
            try:
                secret = seal.unseal(self._transmit, loaded, session, auth)
                self._loaded.remove(session.handle)
            finally:
                self._flush(loaded.handle)
        return secret

    @contextmanager
    def _storage_key(self) -> Iterator[Key]:
        key = create_primary(self._transmit, Handle.OWNER, STORAGE_TEMPLATE, self._loaded.append)
        try:
            yield key
        finally:
            self._flush(key.handle)

    @contextmanager
    def _session(self, kind: SessionType, salted_by: Key) -> Iterator[Session]:
        """The TPM itself ends a session after a command without CONTINUE: then its handle must be
        taken out of _loaded.
        """
        session = start_session(
            self._transmit, kind, salted_by.entity, salted_by.area, self._loaded.append
        )
        try:
            yield session
        finally:
            if session.handle in self._loaded:
                self._flush(session.handle)

    def _ek_indexes(self) -> frozenset[int]:
        if self._indexes is None:
            self._indexes = ek_indexes(self._transmit)
        return self._indexes

    def _flush(self, handle: int) -> None:
        # A persistent EK was not loaded by us.
        if handle not in self._loaded:
            return
        self._loaded.remove(handle)
        try:
            flush(self._transmit, handle)
        except PykexecError as error:
            # After a response that was altered nobody knows whether the session is still there.
            log.debug("TPM: %#x stays loaded: %s", handle, error)

    def _measured(self, transmit: Transmit) -> Transmit:
        def measured(command: bytes) -> bytes:
            start = time.monotonic()
            try:
                return transmit(command)
            finally:
                self.usage.commands += 1
                self.usage.seconds += time.monotonic() - start

        return measured


@contextmanager
def open_tpm(*paths: str) -> Iterator[Tpm]:
    """Linux' TPM; all that was loaded is flushed afterwards.

    By default the device without a resource manager, unless another program has it: around each
    command the resource manager loads, saves and flushes all that the program has in the TPM.
    """
    with opened(*(paths or (RAW_DEVICE, RESOURCE_MANAGER))) as transmit, Tpm(transmit) as tpm:
        yield tpm
