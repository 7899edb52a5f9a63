# SPDX-License-Identifier: Apache-2.0
"""What shim has measured beside the firmware: in PCR 7, where it vouches for what it starts, and in
PCR 14, what the machine's owner has enrolled (mok.c and tpm.c of rhboot/shim).

In PCR 7 its own state has the type of an authority, too, and is none: no key is in it. In PCR 14 an
event's digest is that of a variable, whose name alone is logged, which no digest covers.
"""

from __future__ import annotations

from collections.abc import Mapping

from pykexec.verify.log import Entry, ProvenLog

OWNER_PCR = 14
_STATE = frozenset({"SbatLevel", "MokSBState"})
_NAME_MAX = 64


def with_shim(claims: Mapping[str, object], log: ProvenLog) -> dict[str, object]:
    """Claims of Secure Boot whose authorities are keys alone; "shim" has the rest, if there is any.

    Behind shim an authority called "MokList" (of shim 16 "MokListRT") is a key of the machine's
    owner, "Shim" its vendor's.
    """
    found = claims["authorities"]
    assert isinstance(found, list)
    state = {each["variable"]: each["sha256"] for each in found if each["variable"] in _STATE}
    keys = [each for each in found if each["variable"] not in _STATE]
    enrolled = [_enrolled(entry, log.bank) for entry in log.of(OWNER_PCR)]
    if not state and not enrolled:
        return {**claims}
    return {**claims, "authorities": keys, "shim": {"state": state, "enrolled": enrolled}}


def _enrolled(entry: Entry, bank: str) -> dict[str, object]:
    """A list by its digest; to what the owner enrolled shim adds what it was built with."""
    text = entry.event.data.rstrip(b"\0")
    name = text.decode() if text.isascii() and text.decode().isprintable() else ""
    return {
        "name": name[:_NAME_MAX],
        "digest": entry.event.digests[bank].hex(),
        "unproven": ["name"],
    }
