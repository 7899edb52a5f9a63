# SPDX-License-Identifier: Apache-2.0
"""How often one peer may do something: token buckets that all workers share."""

from __future__ import annotations

import hashlib
import ipaddress
import mmap
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pykexec.server import quotas

_ENTRY = struct.Struct("<Qdd")  # key, tokens left, when that was (CLOCK_MONOTONIC, seconds)
_WAYS = 8
_SETS = 8192
_IPV6_PREFIX = 64  # What one customer of a provider is given at least.


@dataclass(frozen=True, slots=True)
class Rate:
    """per_s tokens a second flow into a bucket of burst tokens; per_s 0 sets no limit."""

    per_s: float
    burst: float


class Limiter:
    """Buckets by name and key, in memory of a fixed size that forked workers share.

    There is no lock: a worker that is killed must not stop the others. Two that take from one
    bucket at the same instant may get a token too many; that is all that can happen. The least
    recently used bucket of eight makes room for a new one, and the keyed hash keeps strangers from
    choosing whose.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory = mmap.mmap(-1, _ENTRY.size * _WAYS * _SETS)
        self._key = secrets.token_bytes(16)
        self._clock = clock

    def take(self, name: str, key: str, rate: Rate) -> float:
        """Take one token; 0, or the seconds until there is one."""
        if rate.per_s <= 0:
            return 0.0
        hashed = self._hash(name, key)
        now = self._clock()
        offset = self._find(hashed)
        found, tokens, stamp = _ENTRY.unpack_from(self._memory, offset)
        if found != hashed:
            tokens, stamp = rate.burst, now
        tokens = min(rate.burst, tokens + max(0.0, now - stamp) * rate.per_s)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate.per_s
        _ENTRY.pack_into(self._memory, offset, hashed, tokens if wait else tokens - 1, now)
        return wait

    def _hash(self, name: str, key: str) -> int:
        text = f"{name}\0{key}".encode()
        digest = hashlib.blake2b(text, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") or 1

    def _find(self, hashed: int) -> int:
        start = hashed % _SETS * _WAYS * _ENTRY.size
        offsets = range(start, start + _WAYS * _ENTRY.size, _ENTRY.size)
        oldest, oldest_stamp = start, float("inf")
        for offset in offsets:
            found, _tokens, stamp = _ENTRY.unpack_from(self._memory, offset)
            if found == hashed:
                return offset
            if stamp < oldest_stamp:
                oldest, oldest_stamp = offset, stamp
        return oldest


@lru_cache(quotas.PEERS_KNOWN)
def peer_key(address: str) -> str:
    """What a peer is counted as: its IPv4 address, or the /64 that its IPv6 address is of."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
