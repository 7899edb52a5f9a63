# SPDX-License-Identifier: Apache-2.0
"""What RAM disks are filled from: files of a server, of a volume of the firmware, of Linux."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pykexec.config.agent import NetworkConfig
from pykexec.config.url import parse_url
from pykexec.errors import FormatError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.ramdisk import Image, file_image, open_image, volume_image
from pykexec.kexec.remote import check_trust, fetch_payload, go_online, limits
from pykexec.kexec.request import is_firmware_path, is_remote_path, payload_limit


@dataclass(frozen=True, slots=True)
class Source:
    """Where files are: path is that of one of them, which others may lie beside."""

    mailbox: Mailbox
    path: str
    volume: str | None
    network: NetworkConfig

    @contextmanager
    def open(self, name: str, limit: int, sha256: str = "") -> Iterator[Image]:
        """A file of at most limit bytes, whose digest is compared when its bytes have been taken.

        FormatError, FirmwareError or NetworkError name it.
        """
        name = beside(self.path, name)
        with ExitStack() as stack:
            if is_remote_path(name):
                image = stack.enter_context(
                    remote_image(self.mailbox, name, self.network, limit, sha256)
                )
            elif is_firmware_path(name):
                image = volume_image(self.mailbox, name, self.volume)
            else:
                image = stack.enter_context(open_image(name))
            if not image.size:
                raise FormatError(f"{image.source}: is empty")
            if image.size > limit:
                raise FormatError(
                    f"{image.source}: {image.size} bytes, more than the {limit} that fit"
                )
            yield _digested(image, sha256)


def beside(path: str, name: str) -> str:
    """What name means where another file is at path: an address or a path from the root is
    itself, all else lies in the same directory; of Linux' files only what has no slash.
    """
    if is_remote_path(name) or is_firmware_path(name):
        return name
    if is_remote_path(path):
        return str(parse_url(path).join(name))
    if is_firmware_path(path) and not name.startswith("/"):
        return "\\".join((path.rpartition("\\")[0], name.replace("/", "\\")))
    return name if "/" in name else os.path.join(os.path.dirname(path), name)


def _digested(image: Image, sha256: str) -> Image:
    """image, whose pieces end in FormatError unless together they had the digest; "" is any."""
    if not sha256:
        return image

    def pieces() -> Iterator[bytes | memoryview]:
        digest = hashlib.sha256()
        for piece in image.pieces():
            digest.update(piece)
            yield piece
        if digest.hexdigest() != sha256.lower():
            fault = f"its SHA-256 is {digest.hexdigest()}, not {sha256.lower()}"
            raise FormatError(f"{image.source}: {fault}")

    return Image(image.source, image.size, pieces)


@contextmanager
def remote_image(
    mailbox: Mailbox, address: str, network: NetworkConfig, limit: int, sha256: str = ""
) -> Iterator[Image]:
    """What address names, at most limit bytes, for a RAM disk: by HTTP it comes when it is asked
    for, and is kept nowhere. By TFTP it lies in memory first, where a payload would have to fit.

    NetworkError as fetch_payload() has it; whether sha256 is what comes is the caller's to check.
    """
    from pykexec.net.download import open_download

    url = parse_url(address)
    if url.scheme == "tftp":
        limit = min(limit, payload_limit(mailbox))
        fd, size = fetch_payload(mailbox, address, network, limit, sha256)
        try:
            yield file_image(address, fd, size)
        finally:
            os.close(fd)
        return
    check_trust(url, network, sha256)
    go_online(mailbox, network)
    with open_download(url, limits(network, limit)) as download:
        yield Image(str(download.source), download.total, download.pieces)
