# SPDX-License-Identifier: Apache-2.0
"""Disks like Windows' own, made here: an ESP with a boot manager that test authorities of
Microsoft's names have signed, its configuration, and an encrypted volume.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pykexec.disk import fat, gpt
from pykexec.disk.mbr import Identity
from pykexec.efi.guid import Guid
from pykexec.efi.signature_list import X509, SignatureList
from pykexec.image.sign import SigningKey, sign
from pykexec.vm import hives
from pykexec.windows.disks import Disk
from tests.support import mbr_disk
from tests.support.bitlocker import SIZE as VOLUME_SIZE

ESP_TYPE = Guid.parse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BASIC_DATA = Guid.parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
OWNER = Guid.parse("77fa9abd-0359-4d32-bd60-28f4e78f784b")
DISK = Guid.parse("dddddddd-0000-4000-8000-dddddddddddd")
ESP = Guid.parse("eeeeeeee-0000-4000-8000-eeeeeeeeeeee")
WINDOWS = Guid.parse("aaaaaaaa-0000-4000-8000-aaaaaaaaaaaa")
BOOTMGFW = "EFI/Microsoft/Boot/bootmgfw.efi"
BCD = "EFI/Microsoft/Boot/BCD"

PCA_2011 = "Microsoft Windows Production PCA 2011"
CA_2023 = "Windows UEFI CA 2023"
UEFI_CA_2011 = "Microsoft Corporation UEFI CA 2011"
OLD_WINDOWS = Identity(mbr_disk.DISK, 1 << 20)
_START = datetime.datetime(2012, 1, 1, tzinfo=datetime.UTC)
_END = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_ESP_FIRST = 64
_OPTIONS = struct.Struct("<8sIII")


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority with one signer; the root above it is not kept."""

    certificate: x509.Certificate
    signer: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        """The authority's certificate, as db has it."""
        return self.certificate.public_bytes(Encoding.DER)

    def sign(self, image: bytes) -> bytes:
        """The image, signed by the signer, whose path is in the signature."""
        with TemporaryDirectory() as name:
            key, chain = Path(name, "key.pem"), Path(name, "chain.pem")
            key.write_bytes(
                self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            )
            pems = (each.public_bytes(Encoding.PEM) for each in (self.signer, self.certificate))
            chain.write_bytes(b"".join(pems))
            return sign(image, SigningKey(key, chain))


@cache
def authority(name: str, seed: int = 0) -> Authority:
    """An authority of that name; another seed, another one of the same name."""
    del seed  # It makes another one by being another.
    root_key, key, signer_key = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    root = _name("Microsoft Root Certificate Authority 2010")
    above = _certificate(_name(name), key, root, root_key, authority=True)
    signer = _certificate(_name("Microsoft Windows"), signer_key, _name(name), key)
    return Authority(above, signer, signer_key)


def _name(text: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Microsoft Corporation")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    authority: bool = False,
) -> x509.Certificate:
    """As Microsoft's are: valid once, for signing code."""
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key())
        .not_valid_before(_START)
        .not_valid_after(_END)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if not authority:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def certificates(*ders: bytes) -> tuple[SignatureList, ...]:
    """A database of certificates."""
    return tuple(SignatureList(X509, b"", 16 + len(d), (OWNER.data + d,)) for d in ders)


def whole(name: str, data: bytes, block_size: int | None = None) -> Disk:
    """A disk to be looked at, of these bytes."""

    def read_secret(offset: int, out: memoryview) -> int:
        found = data[offset : offset + len(out)]
        out[: len(found)] = found
        return len(found)

    return Disk(name, lambda at, size: data[at : at + size], read_secret, len(data), block_size)


def bcd(partition: Guid = WINDOWS) -> bytes:
    """A boot configuration whose default entry is on that partition."""
    return hives.hive(hives.bcd_tree(str(partition), str(DISK), str(ESP)), "lh")


def old_bcd(partition: Identity) -> bytes:
    """One whose default entry is on a partition of an MBR."""
    tree = hives.bcd_tree(str(WINDOWS), str(DISK), str(ESP))
    elements = tree.subkeys["Objects"].subkeys[f"{{{hives.LOADER}}}"].subkeys["Elements"].subkeys
    for element in ("11000001", "21000001"):
        elements[element].values["Element"] = mbr_disk.device(partition)
    return hives.hive(tree, "lh")


def _esp(files: Mapping[str, bytes]) -> fat.Volume:
    return fat.plan({name: memoryview(data) for name, data in files.items()}, "ESP")


def load_options(text: str) -> bytes:
    """The load options that Windows puts into its boot entry: text, and the path of nothing.

    As seen in boot variables of Windows machines; nothing documents them.
    """
    words = (text + "\0").encode("utf-16-le")
    words += bytes(-(_OPTIONS.size + len(words)) % 8)
    path = struct.pack("<IIII", 1, 16, 4, 0x0004FF7F)
    offset = _OPTIONS.size + len(words)
    return _OPTIONS.pack(b"WINDOWS", 1, offset + len(path), offset) + words + path


def disk(files: Mapping[str, bytes], volume: bytes) -> bytes:
    """A disk with an ESP of these files and a second partition, whose bytes are volume's."""
    esp = _esp(files)
    esp_blocks, volume_blocks = esp.size // 512, VOLUME_SIZE // 512
    second = _ESP_FIRST + esp_blocks
    out = bytearray((second + volume_blocks + gpt.OVERHEAD_BLOCKS) * 512)
    partitions = (
        gpt.Partition(1, ESP_TYPE, ESP, _ESP_FIRST, esp_blocks, 0, "EFI system partition"),
        gpt.Partition(2, BASIC_DATA, WINDOWS, second, volume_blocks, 0, "Basic data partition"),
    )
    gpt.write_gpt(memoryview(out), gpt.Table(DISK, partitions, False))
    esp.write(memoryview(out)[_ESP_FIRST * 512 : second * 512], _ESP_FIRST)
    out[second * 512 : second * 512 + len(volume)] = volume
    return bytes(out)


def old_disk(files: Mapping[str, bytes], volume: bytes, flag: int = 0) -> bytearray:
    """disk() with an MBR, second partition first; flag is that one's."""
    esp, volume_blocks = _esp(files), len(volume) // 512
    second = OLD_WINDOWS.offset // 512
    first = second + volume_blocks
    out = bytearray(first * 512 + esp.size)
    out[second * 512 : first * 512] = volume
    esp.write(memoryview(out)[first * 512 :], first)
    records = (
        mbr_disk.Record(mbr_disk.ESP, first, esp.size // 512),
        mbr_disk.Record(mbr_disk.BASIC, second, volume_blocks, flag),
    )
    mbr_disk.put(out, 0, *records)
    return out
