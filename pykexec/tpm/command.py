# SPDX-License-Identifier: Apache-2.0
"""One command to the TPM and its response, with the sessions that authorise and protect them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pykexec.tpm.constants import CommandCode, Handle, SessionAttribute, Tag
from pykexec.tpm.entity import Entity
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import Buffer, Reader, WireError, pack_command, sized, unpack_response

if TYPE_CHECKING:
    from pykexec.secret import Secret
    from pykexec.tpm.session import Use


@dataclass(frozen=True, slots=True)
class Password:
    """Authorises by a value that crosses the bus in clear: for values that are empty."""

    value: bytes = b""


Authorization: TypeAlias = "Password | Use"


@dataclass(frozen=True, slots=True)
class Command:
    """first is the content of the first parameter if that is a TPM2B: what a session with
    DECRYPT keeps from the bus; rest are the other parameters.
    """

    code: CommandCode
    handles: tuple[Entity, ...] = ()
    first: Buffer | None = None
    rest: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """handle is that of the object or session made, if the command makes one."""

    handle: int
    reader: Reader
    _encrypting: Use | None = field(default=None, repr=False)

    def secret(self) -> Secret:
        """The first parameter, a TPM2B that only a session with ENCRYPT has brought here."""
        from pykexec.secret import Secret

        assert self._encrypting, "asked in clear"
        encrypted = self.reader.sized()
        secret = Secret(len(encrypted))
        self._encrypting.decrypt(encrypted, secret.view)
        return secret


def execute(
    transmit: Transmit,
    command: Command,
    authorizations: Sequence[Authorization] = (),
    *,
    makes_handle: bool = False,
) -> Response:
    """Send command and take its response.

    authorizations belong to the first of its handles, in order; one more is a session that only
    protects. ResponseError when the TPM refuses, TpmError for a response that makes no sense or
    that the sessions do not vouch for.
    """
    uses = [one for one in authorizations if not isinstance(one, Password)]
    for use in uses:
        use.session.renew()
    parameters = _parameters(command, uses)
    handles = b"".join(struct.pack(">I", entity.handle) for entity in command.handles)
    tag = Tag.SESSIONS if authorizations else Tag.NO_SESSIONS
    area = _authorization_area(command, authorizations, uses, parameters)
    sent = pack_command(command.code, handles + area + parameters, tag)
    try:
        answer = unpack_response(transmit(sent), command.code, tag)
    except ResponseError as error:
        named = [entity.handle for entity in command.handles]
        raise ResponseError(command.code.title, error.code, named) from None
    what = f"{command.code.title}: response"
    reader = Reader(answer, what)
    handle = reader.u32() if makes_handle else 0
    if not authorizations:
        return Response(handle, Reader(reader.rest(), what))
    returned = reader.take(reader.u32())
    _check_authorizations(reader, command.code, authorizations, returned)
    reader.end()
    encrypting = [use for use in uses if use.attributes & SessionAttribute.ENCRYPT]
    return Response(handle, Reader(returned, what), encrypting[0] if encrypting else None)


def _parameters(command: Command, uses: list[Use]) -> bytes:
    if command.first is None:
        return command.rest
    first = command.first
    for use in uses:
        if use.attributes & SessionAttribute.DECRYPT:
            first = use.encrypt(first)
    return sized(first) + command.rest


def _authorization_area(
    command: Command, authorizations: Sequence[Authorization], uses: list[Use], parameters: bytes
) -> bytes:
    if not authorizations:
        return b""
    signed = struct.pack(">I", command.code)
    signed += b"".join(entity.name for entity in command.handles) + parameters
    area = b""
    for number, one in enumerate(authorizations):
        if isinstance(one, Password):
            area += struct.pack(">IHB", Handle.PASSWORD, 0, SessionAttribute.CONTINUE)
            area += sized(one.value)
        else:
            # The first session vouches for those, too, that only encrypt (Part 1, 17.6.5).
            others = _encrypting_nonces(one, uses) if number == 0 else b""
            area += one.sign(signed, others)
    return struct.pack(">I", len(area)) + area


def _encrypting_nonces(first: Use, uses: list[Use]) -> bytes:
    nonces = b""
    named: list[Use] = []
    for attribute in (SessionAttribute.DECRYPT, SessionAttribute.ENCRYPT):
        for use in uses:
            if use.attributes & attribute and use is not first and use not in named:
                nonces += use.session.nonce_tpm
                named.append(use)
    return nonces


def _check_authorizations(
    reader: Reader, code: CommandCode, authorizations: Sequence[Authorization], returned: bytes
) -> None:
    for one in authorizations:
        nonce, attributes, proof = reader.sized(), reader.u8(), reader.sized()
        if not isinstance(one, Password):
            one.check(nonce, attributes, proof, struct.pack(">II", 0, code) + returned)
        elif (nonce, attributes, proof) != (b"", SessionAttribute.CONTINUE, b""):
            raise WireError(f"{reader.what} does not fit a password")
