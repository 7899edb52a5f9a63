# SPDX-License-Identifier: Apache-2.0
"""The bundle: all that domains are made of, in one file of the hidden partition.

    8   "PKBUNDLE"
    4   version of this format, 1; little endian, as the next
    4   size of the header in bytes
    64  Ed25519 signature (RFC 8032) over SIGNED, these 16 bytes, and the header
    n   header: JSON, with name, version, domains, and path, size and SHA-256 of each file
    ... zeros up to a multiple of 4096, and then each file in the header's order, likewise padded

Nothing of the header is looked at before its signature was verified, and no byte of a file is used
before all of it was: open_bundle(), extract(). Where a file lies follows from the sizes before it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from pykexec.attest.fields import Fields, parse_object
from pykexec.config.table import Table
from pykexec.crypto import ED25519_SIGNATURE_SIZE, ed25519_verify
from pykexec.disk import Reader
from pykexec.errors import ConfigError, FormatError
from pykexec.launch.dom0.domains import DOMAINS_MAX, Domain, check_domains, parse_domain

MAGIC = b"PKBUNDLE"
FORMAT = 1
SIGNED = b"pykexec bundle 1\0"
HEAD = struct.Struct("<8sII")
ALIGNMENT = 4096
HEADER_MAX = 1 << 20
FILES_MAX = 256
FILE_MAX = 4 << 30
VERSION_MAX = 2**31 - 1
CHUNK_SIZE = 1 << 20
_PATH = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(?:/[a-z0-9][a-z0-9._-]{0,63}){0,3}")
_SHA256 = re.compile("[0-9a-f]{64}")


class BundleError(FormatError):
    """A bundle is not whole, not ours, or older than it may be."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the bundle; offset is where it begins in there."""

    path: str
    size: int
    sha256: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the header says. sha256 is that of the header, which stands for all of it."""

    name: str
    version: int
    domains: tuple[Domain, ...]
    files: tuple[File, ...]
    sha256: str

    def file(self, path: str) -> File:
        """The one at path; BundleError if there is none."""
        found = next((each for each in self.files if each.path == path), None)
        if found is None:
            raise BundleError(f"bundle: no file {path!r}")
        return found


def encode_header(
    name: str, version: int, domains: Sequence[Domain], files: Sequence[File]
) -> bytes:
    """The header's JSON, the same bytes for the same contents."""
    import json

    fields = {
        "name": name,
        "version": version,
        "domains": [
            {key: value for key, value in asdict(domain).items() if value} for domain in domains
        ],
        "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def signed_part(header: bytes) -> bytes:
    """What the signature is over."""
    return SIGNED + HEAD.pack(MAGIC, FORMAT, len(header)) + header


def aligned(offset: int) -> int:
    """Where the next file begins."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def open_bundle(read: Reader, key: bytes) -> Bundle:
    """Its header, verified by key, an Ed25519 public one; BundleError for any other bytes."""
    head = read(0, HEAD.size)
    if len(head) != HEAD.size:
        raise BundleError(f"bundle: truncated ({len(head)} bytes)")
    magic, version, size = HEAD.unpack(head)
    if magic != MAGIC:
        raise BundleError("bundle: this is none")
    if version != FORMAT:
        raise BundleError(f"bundle: format {version}, not {FORMAT}")
    if size > HEADER_MAX:
        raise BundleError(f"bundle: a header of {size} bytes, at most {HEADER_MAX} are taken")
    rest = read(HEAD.size, ED25519_SIGNATURE_SIZE + size)
    if len(rest) != ED25519_SIGNATURE_SIZE + size:
        raise BundleError("bundle: truncated (header)")
    signature, header = rest[:ED25519_SIGNATURE_SIZE], rest[ED25519_SIGNATURE_SIZE:]
    try:
        ed25519_verify(key, SIGNED + head + header, signature)
    except FormatError as error:
        raise BundleError(f"bundle: {error}") from None
    return parse_header(header)


def parse_header(header: bytes) -> Bundle:
    """A header whose signature was verified; FormatError names the field."""
    fields = parse_object(header, "bundle", HEADER_MAX)
    name, version = fields.text("name", 64), fields.number("version", VERSION_MAX)
    files = _files(fields, HEAD.size + ED25519_SIGNATURE_SIZE + len(header))
    domains = tuple(
        parse_domain(Table("bundle", f"domains[{number}].", each.rest()))
        for number, each in enumerate(fields.objects("domains", DOMAINS_MAX))
    )
    fields.end()

    def fault(number: int, key: str, fault: str) -> ConfigError:
        return ConfigError(f"bundle: domains[{number}].{key}: {fault}")

    check_domains(domains, "", fault)
    bundle = Bundle(name, version, domains, files, hashlib.sha256(header).hexdigest())
    for domain in domains:
        for path in domain.files:
            bundle.file(path)
    return bundle


def _files(fields: Fields, end: int) -> tuple[File, ...]:
    found: dict[str, File] = {}
    for each in fields.objects("files", FILES_MAX):
        path, size = each.text("path", 256), each.number("size", FILE_MAX)
        sha256 = each.text("sha256", 64)
        each.end()
        if not _PATH.fullmatch(path) or path in found:
            raise each.fault("path", f"{path!r}: no path of a bundle, or there twice")
        if not _SHA256.fullmatch(sha256):
            raise each.fault("sha256", "not a SHA-256 in hexadecimal digits")
        offset = aligned(end)
        found[path] = File(path, size, sha256, offset)
        end = offset + size
    return tuple(found.values())


def chunks(read: Reader, file: File) -> Iterator[bytes]:
    """Its bytes; BundleError behind the last of them where they are not what the header says.

    Who uses any before the end uses what nobody has vouched for: extract() is for that.
    """
    digest = hashlib.sha256()
    for done in range(0, file.size, CHUNK_SIZE):
        wanted = min(CHUNK_SIZE, file.size - done)
        chunk = read(file.offset + done, wanted)
        if len(chunk) != wanted:
            raise BundleError(f"bundle: {file.path}: truncated")
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != file.sha256:
        raise BundleError(f"bundle: {file.path}: its SHA-256 is {digest.hexdigest()}")


def verify(read: Reader, bundle: Bundle) -> None:
    """BundleError unless every file is what the header says."""
    for file in bundle.files:
        for _ in chunks(read, file):
            pass


def check_version(bundle: Bundle, name: str, newest: int, may_roll_back: bool) -> None:
    """BundleError for one of another name, or older than newest, the version that was seen last."""
    if bundle.name != name:
        raise BundleError(f"bundle: is {bundle.name!r}, not {name!r}")
    if bundle.version < newest and not may_roll_back:
        raise BundleError(
            f"bundle: version {bundle.version} is older than {newest}, and the manifest allows no "
            "roll-back"
        )
