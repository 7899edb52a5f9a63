# SPDX-License-Identifier: Apache-2.0
"""Memory of secrets is locked, kept from dumps and children, and wiped."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from pykexec._native import ffi
from pykexec.secret import Secret, SecretMemoryError

SIZE = 5000


@pytest.fixture(name="secret")
def secret_fixture() -> Secret:
    secret = Secret(SIZE)
    secret.view[:] = b"k" * SIZE
    return secret


def mapping(secret: Secret) -> dict[str, str]:
    """What the kernel says of the secret's pages."""
    address = int(ffi.cast("uintptr_t", ffi.from_buffer(secret.view)))
    lines = open("/proc/self/smaps").read().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"{address:x}-"))
    fields: dict[str, str] = {}
    for line in lines[start + 1 :]:
        name, _, value = line.partition(":")
        fields[name] = value.strip()
        if name == "VmFlags":
            break
    return fields


def test_its_pages_are_its_own_locked_and_in_no_dump(secret: Secret) -> None:
    found = mapping(secret)
    assert (found["Size"], found["Locked"]) == ("8 kB", "8 kB")
    assert {"lo", "dd", "wf"} <= set(found["VmFlags"].split())


def test_a_child_finds_zeros(secret: Secret) -> None:
    child = os.fork()
    if not child:
        os._exit(0 if bytes(secret.view) == bytes(SIZE) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert secret.view == b"k" * SIZE


def test_wiping_clears_what_others_look_at(secret: Secret) -> None:
    view = secret.view[10:20]
    secret.wipe()
    assert bytes(view) == bytes(10)
    with pytest.raises(ValueError, match="wiped"):
        _ = secret.view


def test_a_with_statement_wipes_at_its_end(secret: Secret) -> None:
    view = secret.view
    with pytest.raises(KeyError), secret:
        raise KeyError
    assert bytes(view) == bytes(SIZE)


def test_a_forgotten_secret_is_wiped_although_it_is_looked_at(secret: Secret) -> None:
    other = Secret(4)
    other.view[:] = b"1234"
    view = other.view
    del other
    assert bytes(view) == bytes(4)


def test_its_pages_go_with_the_last_look(secret: Secret) -> None:
    address = int(ffi.cast("uintptr_t", ffi.from_buffer(secret.view)))
    program = (
        "from pykexec.secret import Secret\n"
        "def locked():\n"
        "    return [l for l in open('/proc/self/status') if l.startswith('VmLck')]\n"
        "before = locked()\n"
        "secret = Secret(1 << 20)\n"
        "during = locked()\n"
        "del secret\n"
        "print(before == locked() != during)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert (done.stdout, address % 4096) == (b"True\n", 0)


def test_nothing_shows_it(secret: Secret) -> None:
    assert (repr(secret), str(secret), f"{secret}") == ("<secret>",) * 3
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(secret)


def test_an_empty_secret_is_one() -> None:
    secret = Secret(0)
    assert len(secret.view) == 0 and secret


def test_memory_that_cannot_be_locked_is_an_error() -> None:
    program = (
        "import os, resource\n"
        "from pykexec.secret import Secret\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))\n"
        "os.getuid() or os.setuid(65534)\n"
        "Secret(1 << 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert b"cannot lock 1048576 bytes in memory: Cannot allocate memory" in done.stderr
    assert issubclass(SecretMemoryError, OSError)
