# SPDX-License-Identifier: Apache-2.0
"""LUKS2 volumes with a file system inside, made by cryptsetup without root or device mapper."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from pykexec.run import run
from pykexec.vm.disk import MIB, Files, write_ext4

VOLUME_UUID = uuid.UUID("33333333-3333-4333-8333-333333333333")
_SIZE_MIB = 8
# Half of what is cut off becomes the header with its key slots, 16 MiB, LUKS2's default.
_REDUCED_MIB = 32
# What is shown is the chain: an emulated processor would need minutes for what cryptsetup chooses.
_ITERATIONS = 1000
_ENV = {"PATH": f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"}


def make_volume(path: Path, key: bytes, files: Files) -> None:
    """Write to path a LUKS2 volume (UUID VOLUME_UUID), an ext4 with files in it, that key opens."""
    with open(path, "wb") as image:
        image.truncate((_SIZE_MIB + _REDUCED_MIB) * MIB)
    write_ext4(path, files, "volume", VOLUME_UUID, 0, _SIZE_MIB * MIB)
    words = ["cryptsetup", "reencrypt", "--encrypt", "--type=luks2", "--batch-mode"]
    # Locks need a directory that only root can make; the file is nobody else's.
    words += ["--disable-locks", f"--uuid={VOLUME_UUID}", f"--reduce-device-size={_REDUCED_MIB}M"]
    words += ["--pbkdf=pbkdf2", f"--pbkdf-force-iterations={_ITERATIONS}", "--key-file=-"]
    run([*words, path], env=_ENV, stdin=key, timeout_s=120)
