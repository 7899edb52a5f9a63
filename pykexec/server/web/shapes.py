# SPDX-License-Identifier: Apache-2.0
"""What a JSON value may be, said once: read by the API, printed into its OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pykexec.attest.fields import ProtocolError

JsonSchema = dict[str, object]
_ANY = r"[^\x00]*"


class Shape(Protocol):
    """One kind of value."""

    def schema(self) -> JsonSchema:
        """The same in JSON Schema 2020-12."""
        ...

    def read(self, value: object, where: str) -> object:
        """The value, if it is of this shape; ProtocolError names where it is not."""
        ...

    def read_text(self, text: str, where: str) -> object:
        """The same from a query parameter."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string of Unicode scalar values without NUL; all of it must match the pattern.

    The pattern is written for ASCII, where Python and ECMAScript agree.
    """

    size_max: int
    pattern: str = ""
    choices: tuple[str, ...] = ()
    size_min: int = 0
    format: str = ""
    write_only: bool = False

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        found: JsonSchema = {"type": "string", "maxLength": self.size_max}
        found["pattern"] = f"^({self.pattern or _ANY})$"
        if self.size_min:
            found["minLength"] = self.size_min
        if self.format:
            found["format"] = self.format
        if self.write_only:
            found["writeOnly"] = True
        return found

    def read(self, value: object, where: str) -> str:
        """The string."""
        if not isinstance(value, str):
            raise ProtocolError(f"{where}: must be a string")
        return self.read_text(value, where)

    def read_text(self, text: str, where: str) -> str:
        """The string."""
        if self.choices:
            if text not in self.choices:
                raise ProtocolError(f"{where}: must be one of {', '.join(self.choices)}")
        elif not self.size_min <= len(text) <= self.size_max:
            fault = f"{len(text)} characters; from {self.size_min} to {self.size_max} are taken"
            raise ProtocolError(f"{where}: {fault}")
        elif self.pattern and not re.fullmatch(self.pattern, text):
            raise ProtocolError(f"{where}: does not match {self.pattern}")
        elif "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ProtocolError(f"{where}: has characters that no text has")
        return text


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from first to last."""

    first: int = 0
    last: int = 2**53 - 1

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"type": "integer", "minimum": self.first, "maximum": self.last}

    def read(self, value: object, where: str) -> int:
        """The number."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise ProtocolError(f"{where}: must be an integer")
        if not self.first <= value <= self.last:
            raise ProtocolError(f"{where}: must be from {self.first} to {self.last}")
        return value

    def read_text(self, text: str, where: str) -> int:
        """The number from its digits."""
        if not re.fullmatch("0|-?[1-9][0-9]{0,17}", text):
            raise ProtocolError(f"{where}: must be an integer")
        return self.read(int(text), where)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"type": "boolean"}

    def read(self, value: object, where: str) -> bool:
        """The truth."""
        if not isinstance(value, bool):
            raise ProtocolError(f"{where}: must be true or false")
        return value

    def read_text(self, text: str, where: str) -> bool:
        """The truth from its word."""
        if text not in ("true", "false"):
            raise ProtocolError(f"{where}: must be true or false")
        return text == "true"


class _OnlyInBodies:
    __slots__ = ()

    def read_text(self, text: str, where: str) -> object:
        raise AssertionError(f"{where}: this shape is not for query parameters")


@dataclass(frozen=True, slots=True)
class ListOf(_OnlyInBodies):
    """A list of at most count_max values of one shape."""

    item: Shape
    count_max: int

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"type": "array", "items": self.item.schema(), "maxItems": self.count_max}

    def read(self, value: object, where: str) -> list[object]:
        """The list."""
        if not isinstance(value, list):
            raise ProtocolError(f"{where}: must be a list")
        if len(value) > self.count_max:
            raise ProtocolError(f"{where}: {len(value)} entries; {self.count_max} are taken")
        return [self.item.read(item, f"{where}[{index}]") for index, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class MapOf(_OnlyInBodies):
    """An object with free keys."""

    key: Text
    value: Shape
    count_max: int

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "maxProperties": self.count_max,
        }

    def read(self, value: object, where: str) -> dict[str, object]:
        """The object."""
        if not isinstance(value, dict):
            raise ProtocolError(f"{where}: must be an object")
        if len(value) > self.count_max:
            raise ProtocolError(f"{where}: {len(value)} keys; {self.count_max} are taken")
        found = {}
        for key, item in value.items():
            name = self.key.read(key, f"{where}.{str(key)[:64]}")
            found[name] = self.value.read(item, f"{where}.{name}")
        return found


@dataclass(frozen=True, slots=True)
class Record(_OnlyInBodies):
    """An object with known keys and no other."""

    fields: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        shapes = {**self.fields, **self.optional}
        return {
            "type": "object",
            "properties": {name: shape.schema() for name, shape in shapes.items()},
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def read(self, value: object, where: str) -> dict[str, object]:
        """The object; optional keys that are missing stay missing."""
        if not isinstance(value, dict):
            raise ProtocolError(f"{where}: must be an object")
        for key in value:
            if key not in self.fields and key not in self.optional:
                raise ProtocolError(f"{where}.{str(key)[:64]}: unknown key")
        found = {}
        for key, shape in {**self.fields, **self.optional}.items():
            if key in value:
                found[key] = shape.read(value[key], f"{where}.{key}")
            elif key in self.fields:
                raise ProtocolError(f"{where}.{key}: missing")
        return found


@dataclass(frozen=True, slots=True)
class Tagged(_OnlyInBodies):
    """An object whose other keys depend on what one of them says."""

    tag: str
    cases: Mapping[str, Record]

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"oneOf": [self._case(value).schema() for value in self.cases]}

    def _case(self, value: str) -> Record:
        record = self.cases[value]
        tag = Text(len(value), choices=(value,))
        return Record({self.tag: tag, **record.fields}, record.optional)

    def read(self, value: object, where: str) -> dict[str, object]:
        """The object, by the shape of its case."""
        if not isinstance(value, dict):
            raise ProtocolError(f"{where}: must be an object")
        choice = value.get(self.tag)
        if not isinstance(choice, str) or choice not in self.cases:
            known = ", ".join(self.cases)
            raise ProtocolError(f"{where}.{self.tag}: must be one of {known}")
        return self._case(choice).read(value, where)


@dataclass(frozen=True, slots=True)
class Nullable(_OnlyInBodies):
    """A value or null."""

    shape: Shape

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"anyOf": [self.shape.schema(), {"type": "null"}]}

    def read(self, value: object, where: str) -> object:
        """The value or None."""
        return None if value is None else self.shape.read(value, where)


@dataclass(frozen=True, slots=True)
class AnyObject(_OnlyInBodies):
    """An object of which nothing is said, of bounded size when written as JSON."""

    size_max: int = 1 << 16

    def schema(self) -> JsonSchema:
        """The same in JSON Schema."""
        return {"type": "object"}

    def read(self, value: object, where: str) -> object:
        """The object."""
        if not isinstance(value, dict):
            raise ProtocolError(f"{where}: must be an object")
        if len(json.dumps(value)) > self.size_max:
            raise ProtocolError(f"{where}: larger than {self.size_max} bytes")
        return value
