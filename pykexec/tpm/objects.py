# SPDX-License-Identifier: Apache-2.0
"""Keys in the TPM: made from a template, found, loaded (TPM 2.0 Library, Part 3, 12 and 24.1)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pykexec.errors import TpmError
from pykexec.tpm.command import Command, Password, Response, execute
from pykexec.tpm.constants import CommandCode, Handle
from pykexec.tpm.entity import Entity
from pykexec.tpm.public import Public, name_of, parse_public
from pykexec.tpm.templates import same_but_unique
from pykexec.tpm.transport import Transmit
from pykexec.tpm.wire import WireError, sized

Made: TypeAlias = Callable[[int], None]
"""Is told the handle of what was loaded, before anything else can fail."""

_EMPTY_SENSITIVE = sized(b"") + sized(b"")
_NO_PCRS = struct.pack(">I", 0)


@dataclass(frozen=True, slots=True)
class Key:
    """A key in the TPM: its handle, TPMT_PUBLIC and Name."""

    handle: int
    public: bytes
    name: bytes

    @property
    def entity(self) -> Entity:
        """As commands name it."""
        return Entity(self.handle, self.name)

    @property
    def area(self) -> Public:
        """The public area, taken apart."""
        return parse_public(self.public)


def create_primary(transmit: Transmit, hierarchy: Handle, template: Public, made: Made) -> Key:
    """TPM2_CreatePrimary: the key that this hierarchy's seed and the template make."""
    response = execute(
        transmit,
        Command(
            CommandCode.CREATE_PRIMARY,
            (Entity.of(hierarchy),),
            first=_EMPTY_SENSITIVE,
            rest=sized(template.encode()) + sized(b"") + _NO_PCRS,
        ),
        [Password()],
        makes_handle=True,
    )
    made(response.handle)
    reader = response.reader
    area = reader.sized()
    for _ in range(2):  # creationData, creationHash
        reader.sized()
    reader.take(2 + 4)  # creationTicket's tag and hierarchy
    reader.sized()
    name = reader.sized()
    reader.end()
    public = parse_public(area)
    if name != public.name or not same_but_unique(public, template):
        raise WireError(f"{reader.what} does not fit the template")
    return Key(response.handle, area, name)


def read_public(transmit: Transmit, handle: int) -> tuple[Key, bytes]:
    """TPM2_ReadPublic: a key, and its qualified Name."""
    command = Command(CommandCode.READ_PUBLIC, (Entity.of(handle),))
    reader = execute(transmit, command).reader
    area, name, qualified_name = reader.sized(), reader.sized(), reader.sized()
    reader.end()
    if name != parse_public(area).name:
        raise WireError(f"{reader.what} does not fit the question")
    return Key(handle, area, name), qualified_name


def is_primary(key: Key, qualified_name: bytes, hierarchy: Handle) -> bool:
    """Whether a key is a primary one of this hierarchy: its qualified Name says so (Part 1, 16)."""
    above = struct.pack(">I", hierarchy)
    return qualified_name == name_of(key.area.name_alg, above + key.name)


def load(transmit: Transmit, parent: Key, public: bytes, private: bytes, made: Made) -> Key:
    """TPM2_Load: an object that Create has made below parent."""
    name = parse_public(public).name
    command = Command(CommandCode.LOAD, (parent.entity,), first=private, rest=sized(public))
    response: Response = execute(transmit, command, [Password()], makes_handle=True)
    made(response.handle)
    got = response.reader.sized()
    response.reader.end()
    if got != name:
        raise TpmError(f"{response.reader.what} does not fit the question")
    return Key(response.handle, public, name)
