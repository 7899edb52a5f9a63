# SPDX-License-Identifier: Apache-2.0
"""Key material in memory that is locked, in no core dump, and wiped after use."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from pykexec._native import ffi, lib
from pykexec.errors import PykexecError

if TYPE_CHECKING:
    from pykexec._native import CData


class SecretMemoryError(PykexecError, OSError):
    """No memory can be locked for a secret; errno is set."""


class Secret:
    """size bytes for key material, zero at first; they never become Python bytes by themselves.

    Its memory is its own pages: locked, in no core dump, zeros in child processes. It is wiped by
    wipe(), at the end of a with statement, and at the latest when the last reference to it or to
    its view goes. SecretMemoryError where memory cannot be locked.
    """

    __slots__ = ("_pages", "_size", "_view", "_wiped")

    def __init__(self, size: int) -> None:
        self._size = size
        self._wiped = False
        self._pages = _allocate(max(size, 1))
        # The buffer keeps the pages, so that no slice of the view outlives them.
        self._view = memoryview(ffi.buffer(self._pages, size))

    @property
    def view(self) -> memoryview:
        """The bytes themselves, writable; ValueError once they were wiped."""
        if self._wiped:
            raise ValueError("the secret was wiped")
        return self._view

    def wipe(self) -> None:
        """Overwrite the bytes, for all who have a view of them; once more does no harm."""
        self._wiped = True
        lib.pk_secret_wipe(self._pages, self._size)

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")

    def __enter__(self) -> Secret:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wipe()

    def __del__(self) -> None:
        if hasattr(self, "_view"):  # Not where __init__ failed.
            self.wipe()


def _allocate(size: int) -> CData:
    found = ffi.new("void **")
    if code := lib.pk_secret_alloc(size, found):
        fault = f"cannot lock {size} bytes in memory: {os.strerror(-code)}"
        raise SecretMemoryError(-code, f"{fault} (see RLIMIT_MEMLOCK)", "secret")
    return ffi.gc(ffi.cast("uint8_t *", found[0]), _Free(size), size)


class _Free:
    """Ends the life of an allocation; holds its size, and not the secret."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, pages: CData) -> None:
        lib.pk_secret_free(pages, self._size)
