# SPDX-License-Identifier: Apache-2.0
"""JSON objects from strangers, taken apart key by key; every fault names where it is."""

from __future__ import annotations

import binascii
import json
import re

from pykexec.errors import FormatError

_DEPTH_MAX = 16
_VALUES_MAX = 200_000
_URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PLAIN = _URL[:-2] + b"+/"
_OTHERS = bytes(set(range(256)) - set(_URL))  # "+" and "/", too
_TO_PLAIN = bytes.maketrans(_URL + _OTHERS, _PLAIN + b"!" * len(_OTHERS))
_TO_URL = bytes.maketrans(_PLAIN, _URL)
# By what is left of a group of four: with which characters no bit is set beyond the last byte.
_LAST = {0: b"", 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
_PADDING = {0: b"", 2: b"==", 3: b"="}
_SURROGATE = re.compile("[\ud800-\udfff]")


class ProtocolError(FormatError):
    """A message is not what the protocol says; str() names the field and the fault."""


def base64url(data: bytes) -> str:
    """RFC 4648, 5, without padding, as JOSE has it."""
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=")
    return text.translate(_TO_URL).decode()


def from_base64url(text: str, where: str) -> bytes:
    """The bytes of base64url(); ProtocolError for anything that it never gives."""
    left = len(text) % 4
    if left == 1:
        raise ProtocolError(f"{where}: not base64url")
    try:
        plain = text.encode("ascii")
        found = plain.translate(_TO_PLAIN) + _PADDING[left]
        data = binascii.a2b_base64(found, strict_mode=True)
    except ValueError:
        raise ProtocolError(f"{where}: not base64url without padding") from None
    # Bits after the last byte: two texts for the same bytes.
    if left and plain[-1] not in _LAST[left]:
        raise ProtocolError(f"{where}: not base64url as it should be written")
    return data


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ProtocolError("a key occurs twice")
    return values


def _no_number(text: str) -> object:
    raise ProtocolError(f"{text[:32]}: not a number that JSON has")


def parse_object(data: bytes, what: str, size_max: int) -> Fields:
    """The JSON object that data is: UTF-8, no key twice, no NaN, no float, not too deep."""
    if len(data) > size_max:
        raise ProtocolError(f"{what}: {len(data)} bytes, at most {size_max} are taken")
    # A value takes two bytes to write and a hundred to keep. Commas in texts count, too.
    if len(data) > _VALUES_MAX and sum(map(data.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        raise ProtocolError(f"{what}: more than {_VALUES_MAX} values")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_no_number,
        )
    except UnicodeDecodeError:
        raise ProtocolError(f"{what}: not UTF-8") from None
    except ProtocolError as error:
        raise ProtocolError(f"{what}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{what}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{what}: not an object")
    # Where no more begin than may lie in each other there is nothing to look for.
    if data.count(b"{") + data.count(b"[") > _DEPTH_MAX:
        _check_depth(value, what, _DEPTH_MAX)
    return Fields(value, what)


def _check_depth(value: object, what: str, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise ProtocolError(f"{what}: nested too deeply")
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, what, left - 1)


class Fields:
    """An object whose keys are taken one by one; end() refuses what is left over."""

    def __init__(self, values: dict[str, object], where: str) -> None:
        self.where = where
        self._values = dict(values)

    def fault(self, key: str, fault: str) -> ProtocolError:
        """The error for a key."""
        return ProtocolError(f"{self.where}.{key}: {fault}")

    def has(self, key: str) -> bool:
        """Whether the key is there and was not taken."""
        return key in self._values

    def keys(self) -> list[str]:
        """What was not taken yet."""
        return list(self._values)

    def rest(self) -> dict[str, object]:
        """What was not taken yet, as JSON has it."""
        return dict(self._values)

    def _take(self, key: str, kind: type, name: str) -> object:
        if key not in self._values:
            raise self.fault(key, "missing")
        value = self._values.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(key, f"must be {name}")
        return value

    def text(self, key: str, size_max: int = 1024) -> str:
        """A string of at most size_max characters, all of them Unicode scalar values, no NUL."""
        value = self._string(key, size_max)
        if "\0" in value or (not value.isascii() and _SURROGATE.search(value)):
            raise self.fault(key, "has characters that no text has")
        return value

    def _string(self, key: str, size_max: int) -> str:
        value = str(self._take(key, str, "a string"))
        if len(value) > size_max:
            raise self.fault(key, f"{len(value)} characters, at most {size_max} are taken")
        return value

    def number(self, key: str, last: int = 2**63 - 1) -> int:
        """An integer from 0 to last."""
        value = self._take(key, int, "an integer")
        assert isinstance(value, int)
        if not 0 <= value <= last:
            raise self.fault(key, f"must be from 0 to {last}")
        return value

    def flag(self, key: str) -> bool:
        """true or false."""
        return bool(self._take(key, bool, "true or false"))

    def data(self, key: str, size_max: int) -> bytes:
        """Bytes in base64url."""
        text = self._string(key, -(-size_max * 4 // 3))
        return from_base64url(text, f"{self.where}.{key}")

    def values(self, key: str, count_max: int) -> list[object]:
        """A list of anything."""
        value = self._take(key, list, "a list")
        assert isinstance(value, list)
        if len(value) > count_max:
            raise self.fault(key, f"{len(value)} entries, at most {count_max} are taken")
        return value

    def fields(self, key: str) -> Fields:
        """An object."""
        value = self._take(key, dict, "an object")
        assert isinstance(value, dict)
        return Fields(value, f"{self.where}.{key}")

    def objects(self, key: str, count_max: int) -> list[Fields]:
        """A list of objects."""
        found = []
        for number, value in enumerate(self.values(key, count_max)):
            if not isinstance(value, dict):
                raise self.fault(f"{key}[{number}]", "must be an object")
            found.append(Fields(value, f"{self.where}.{key}[{number}]"))
        return found

    def texts(self, key: str, count_max: int, size_max: int = 1024) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(
            Fields({"": value}, f"{self.where}.{key}[{number}]").text("", size_max)
            for number, value in enumerate(self.values(key, count_max))
        )

    def datas(self, key: str, count_max: int, size_max: int) -> tuple[bytes, ...]:
        """A list of bytes in base64url."""
        return tuple(
            Fields({"": value}, f"{self.where}.{key}[{number}]").data("", size_max)
            for number, value in enumerate(self.values(key, count_max))
        )

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._values:
            raise self.fault(key[:64], "unknown key")
