# SPDX-License-Identifier: Apache-2.0
"""Keys that are at hand: each is tried once, and none is left in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pykexec import crypto
from pykexec.windows.check import check
from tests.support.bitlocker import bek_file, volume
from tests.support.windows_disk import (
    PCA_2011,
    disk,
    whole,
)
from tests.unit.windows.looks import (
    KEY,
    OTHER_KEY,
    STARTUP,
    WAYS,
    files,
    key,
    looked_at,
    machine,
)


def test_a_key_is_unwrapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    open_ = crypto.aes_ccm_open

    def counting(key: bytes | memoryview, *rest: Any) -> None:
        tried.append(bytes(key))
        open_(key, *rest)

    monkeypatch.setattr(crypto, "aes_ccm_open", counting)
    (found,) = looked_at(files(), keys=[key(value=OTHER_KEY), key()]).volumes
    assert found.protectors[0].proven
    assert (tried.count(KEY), tried.count(OTHER_KEY)) == (1, 1)


def test_no_key_of_a_disk_is_read_but_into_memory_that_is_wiped() -> None:
    """Its owner reads the rest of the disk as it likes."""
    data = disk({**files(), f"{STARTUP}.BEK": bek_file(STARTUP, KEY)}, volume(WAYS))
    of = whole("disk", data)
    seen: list[bytes] = []
    secret: list[memoryview] = []

    def read(offset: int, size: int) -> bytes:
        seen.append(of.read(offset, size))
        return seen[-1]

    def read_secret(offset: int, out: memoryview) -> int:
        secret.append(out)
        return of.read_secret(offset, out)

    report = check([replace(of, read=read, read_secret=read_secret)], machine(PCA_2011))
    assert report.faults == ()
    assert not any(KEY in each for each in seen)
    assert secret and all(bytes(each) == bytes(len(each)) for each in secret)
