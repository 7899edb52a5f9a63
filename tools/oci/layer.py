# SPDX-License-Identifier: Apache-2.0
"""A directory as a layer of an OCI image: the same files make the same bytes.

OCI image specification 1.1, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# Best that gzip has: an image is made once and fetched often.
_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Owned:
    """A directory of the image that belongs to somebody, with all below it."""

    path: str
    user: int
    mode: int


@dataclass(frozen=True, slots=True)
class Layer:
    """digest and size (bytes) of its blob, diff_id of the tar in it; created_by is for readers."""

    digest: str
    size: int
    diff_id: str
    created_by: str


def pack(
    root: Path, blobs: Path, created_by: str, epoch: int, owned: tuple[Owned, ...] = ()
) -> Layer:
    """Make root, all of whose files are as old as epoch (seconds), a blob in blobs.

    Whoever made root does not matter: what is not owned is root's, and nothing runs as anybody but
    who started it (no set-user-ID).
    """
    plain, partial = (blobs / f".{name}-{os.getpid()}" for name in ("plain", "partial"))
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _walk(root):
            _add(tar, root, path, epoch, owned)
    with (
        open(plain, "rb") as source,
        open(partial, "wb") as target,
        gzip.GzipFile("", "wb", _LEVEL, target, mtime=0) as zipped,
    ):
        shutil.copyfileobj(source, zipped)
    diff_id, digest = _sha256(plain), _sha256(partial)
    plain.unlink()
    size = partial.stat().st_size
    partial.rename(blobs / digest)
    return Layer(f"sha256:{digest}", size, f"sha256:{diff_id}", created_by)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(directory: Path) -> Iterator[Path]:
    """Parents first, in the order of their names' bytes."""
    for path in sorted(directory.iterdir(), key=os.fsencode):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _add(
    tar: tarfile.TarFile, root: Path, path: Path, epoch: int, owned: tuple[Owned, ...]
) -> None:
    status = path.lstat()
    info = tarfile.TarInfo(path.relative_to(root).as_posix())
    info.mtime = epoch
    info.mode = stat.S_IMODE(status.st_mode) & 0o1777
    for each in owned:
        if info.name == each.path:
            info.mode = each.mode
        if info.name == each.path or info.name.startswith(f"{each.path}/"):
            info.uid = info.gid = each.user
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        tar.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        # A second name of a file is a file: which name is the first depends on who asks.
        info.size = status.st_size
        with open(path, "rb") as file:
            tar.addfile(info, file)
    else:
        raise ValueError(f"{path}: neither a file, nor a directory, nor a symbolic link")
