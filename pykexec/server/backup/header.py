# SPDX-License-Identifier: Apache-2.0
"""The first line of a backup: what it is of, and by which keys it can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pykexec.attest.fields import Fields, base64url, parse_object
from pykexec.errors import FormatError
from pykexec.server.canonical import canonical, from_ms, to_ms
from pykexec.server.errors import MasterKeyError
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.keys.keys import Keys
from pykexec.server.store.rewrapping import CONTEXT

FORMAT = "pykexec backup"
VERSION = 1
_SIZE_MAX = 64 << 10
_WRAPPED_MAX = 4096
_KEYS_MAX = 4


@dataclass(frozen=True, slots=True)
class Header:
    """time is when the snapshot was taken, store names the server, seq and hash are its audit
    chain's head; keys are its own key by each master key that opens it.
    """

    time: datetime
    program: str
    schema: str
    store: str
    seq: int
    hash: str
    keys: tuple[WrappedKey, ...]

    def text(self) -> str:
        """As JSON."""
        keys = [{"id": key.key_id, "wrapped": base64url(key.data)} for key in self.keys]
        return canonical(
            {
                "format": FORMAT,
                "version": VERSION,
                "time_ms": to_ms(self.time),
                "program": self.program,
                "schema": self.schema,
                "store": self.store,
                "head": {"seq": self.seq, "hash": self.hash},
                "keys": keys,
            }
        )


def parse_header(data: bytes) -> Header:
    """The opposite of text(); FormatError for what is none, or of a version that is not known."""
    fields = parse_object(data, "backup", _SIZE_MAX)
    if fields.text("format") != FORMAT:
        raise FormatError("not a backup of pykexec")
    if (version := fields.number("version")) != VERSION:
        raise FormatError(f"a backup of version {version}; this program knows {VERSION}")
    head = fields.fields("head")
    keys = [_parse_key(key) for key in fields.objects("keys", _KEYS_MAX)]
    try:
        time = from_ms(fields.number("time_ms"))
    except OverflowError:
        raise fields.fault("time_ms", "is no time") from None
    program, schema, store = fields.text("program"), fields.text("schema"), fields.text("store")
    seq, last = head.number("seq"), head.text("hash")
    for each in (head, fields):
        each.end()
    return Header(time, program, schema, store, seq, last, tuple(keys))


def _parse_key(fields: Fields) -> WrappedKey:
    key = WrappedKey(fields.data("wrapped", _WRAPPED_MAX), fields.text("id"))
    fields.end()
    return key


def open_keys(header: Header, keyring: Keyring) -> Keys:
    """The store's key; MasterKeyError, which says what is needed, where none opens it."""
    for key in header.keys:
        if keyring.has(key.key_id):
            return Keys(keyring.unwrap(key, CONTEXT))
    raise MasterKeyError(
        f"a backup of the server whose master key is {_names(k.key_id for k in header.keys)}; "
        f"given is {keyring.master.key_id}"
    )


def _names(words: Iterable[str]) -> str:
    return " or ".join(words) or "none"
