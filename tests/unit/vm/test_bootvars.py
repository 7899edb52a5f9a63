# SPDX-License-Identifier: Apache-2.0
"""Variables written into OVMF's store from outside."""

from __future__ import annotations

import struct
import uuid

import pytest

from pykexec.errors import FormatError
from pykexec.vm.bootvars import add_variables, read_variables

STORE_GUID = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
STORE_SIZE = 1024
EMPTY = (
    b"\xff" * 72
    + struct.pack("<16sI8x", STORE_GUID.bytes_le, STORE_SIZE)
    + b"\xff" * (STORE_SIZE - 28)
)


def test_variables_are_read_back() -> None:
    store = add_variables(EMPTY, {"BootOrder": b"\1\0", "Boot0001": b"odd"})
    assert read_variables(store) == {"BootOrder": b"\1\0", "Boot0001": b"odd"}


def test_a_variable_replaces_that_of_the_same_name_and_vendor() -> None:
    other = uuid.UUID(int=1)
    store = add_variables(EMPTY, {"Boot0001": b"old", "Lang": b"eng"})
    store = add_variables(store, {"Boot0001": b"theirs"}, vendor=other)
    store = add_variables(store, {"Boot0001": b"newer"})
    assert read_variables(store) == {"Boot0001": b"newer", "Lang": b"eng"}
    assert read_variables(store, other) == {"Boot0001": b"theirs"}


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(FormatError, match="full"):
        add_variables(EMPTY, {"Boot0001": bytes(STORE_SIZE)})


def test_what_is_no_store_is_an_error() -> None:
    with pytest.raises(FormatError, match="no authenticated variables"):
        add_variables(b"\xff" * 64, {"Boot0001": b""})
