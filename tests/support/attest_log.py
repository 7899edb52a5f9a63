# SPDX-License-Identifier: Apache-2.0
"""The event log of a simulated machine: what UEFI firmware, our stub and the agent measure."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.abi_devices import TpmEventConstant
from pykexec.attest.protocol import CONFIG_PCR, OLD_CONFIG_PCR
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import Node, file_node, hard_drive_node
from pykexec.efi.guid import Guid, named_guids
from pykexec.efi.ucs2 import encode_ucs2
from pykexec.efi.variables import LoadOption
from pykexec.firmware.description import SECTION_ORDER, describe
from pykexec.firmware.measure import CONFIG, tagged_event
from tests.support import attest_ca
from tests.support.samples_event_log import NAMES, spec_id

ALGORITHMS = {name: number for number, name in NAMES.items()}

POST_CODE, NO_ACTION, SEPARATOR, EVENT_TAG, CRTM_VERSION, IPL = 1, 3, 4, 6, 8, 13
VARIABLE_DRIVER_CONFIG, VARIABLE_BOOT, APPLICATION = 0x80000001, 0x80000002, 0x80000003
GPT_EVENT, ACTION, FIRMWARE_BLOB, HANDOFF_TABLES = 0x80000006, 0x80000007, 0x80000008, 0x80000009
DRIVER, VARIABLE_AUTHORITY = 0x80000004, 0x800000E0

SECURITY_DATABASE = Guid.parse("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SHA256_LIST = Guid.parse("c1c41626-504c-4092-aca9-41f936934328")
X509_LIST = Guid.parse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
OWNER = Guid.parse("77fa9abd-0359-4d32-bd60-28f4e78f784b")
SMBIOS3 = Guid.parse("f2fd1544-9794-4a2c-992e-e5bbcf20e394")
ESP = Guid.parse("0aa1e63f-2f0b-4f0f-8a5a-5d4a4e9d5f11")


@dataclass(frozen=True, slots=True)
class Measured:
    """One event: data is logged, hashed is what the TPM was given the digest of.

    digests replace what follows from hashed.
    """

    pcr: int
    type: int
    data: bytes
    hashed: bytes | None = None
    digests: tuple[tuple[str, bytes], ...] = ()

    def digest(self, bank: str) -> bytes:
        """What the register of bank was extended with."""
        known = dict(self.digests)
        if bank in known:
            return known[bank]
        return hashlib.new(bank, self.data if self.hashed is None else self.hashed).digest()

    @property
    def extends(self) -> bool:
        """Whether a register was extended."""
        return self.type != NO_ACTION

    def encode(self, banks: Sequence[str]) -> bytes:
        """TCG_PCR_EVENT2."""
        parts = [struct.pack("<III", self.pcr, self.type, len(banks))]
        for bank in banks:
            digest = self.digest(bank) if self.extends else bytes(hashlib.new(bank).digest_size)
            parts += [struct.pack("<H", ALGORITHMS[bank]), digest]
        parts += [struct.pack("<I", len(self.data)), self.data]
        return b"".join(parts)


def encode_log(banks: Sequence[str], events: Iterable[Measured]) -> bytes:
    """A whole crypto agile log."""
    first = spec_id([ALGORITHMS[bank] for bank in banks])
    return b"".join([first, *(event.encode(banks) for event in events)])


def signature_list(kind: Guid, signatures: Sequence[bytes]) -> bytes:
    """EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1)."""
    size = 16 + len(signatures[0])
    body = b"".join(OWNER.data + signature for signature in signatures)
    return kind.data + struct.pack("<III", 28 + len(body), 0, size) + body


def variable(name: str, vendor: Guid, data: bytes) -> bytes:
    """UEFI_VARIABLE_DATA."""
    text = name.encode("utf-16-le")
    return struct.pack("<16sQQ", vendor.data, len(name), len(data)) + text + data


@cache
def certificate(name: str) -> bytes:
    """A certificate for the firmware's databases, DER."""
    return attest_ca.root(name).certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Boot:
    """What is booted; the defaults are one good boot.

    old: an image of before, which measured its sections into PCR 11, and what overrode its
    configuration into PCR 12.
    """

    secure_boot: bool = True
    firmware: str = "2025.02-8"
    db: tuple[str, ...] = ("Test UEFI CA",)
    dbx_hashes: int = 4
    sections: tuple[tuple[str, bytes], ...] = (
        (".linux", b"a kernel"),
        (".osrel", b"ID=pykexec\n"),
        (".cmdline", b"console=ttyS0 pykexec.arena=256M"),
        (".initrd", b"an initramfs"),
        (".uname", b"6.1.0-50-cloud-amd64"),
        (".sbat", b"sbat,1\n"),
    )
    config: bytes | None = None
    image: bytes = b"pykexec.efi"
    drivers: int = 24
    old: bool = False


def _secure_boot(boot: Boot) -> list[Measured]:
    vendor = named_guids()["global_variable"]
    hashes = [hashlib.sha256(f"revoked {n}".encode()).digest() for n in range(boot.dbx_hashes)]
    lists = [signature_list(X509_LIST, [certificate(name)]) for name in boot.db]
    keys = signature_list(X509_LIST, [certificate("Test platform key")])
    exchange = signature_list(X509_LIST, [certificate("Test key exchange key")])
    revoked = signature_list(SHA256_LIST, hashes) if hashes else b""
    variables = [
        ("SecureBoot", vendor, bytes([boot.secure_boot])),
        ("PK", vendor, keys if boot.secure_boot else b""),
        ("KEK", vendor, exchange if boot.secure_boot else b""),
        ("db", SECURITY_DATABASE, b"".join(lists) if boot.secure_boot else b""),
        ("dbx", SECURITY_DATABASE, revoked),
    ]
    return [
        Measured(7, VARIABLE_DRIVER_CONFIG, variable(name, owner, data))
        for name, owner, data in variables
    ]


def _authority(boot: Boot) -> list[Measured]:
    if not boot.secure_boot:
        return []
    data = OWNER.data + certificate(boot.db[0])
    return [Measured(7, VARIABLE_AUTHORITY, variable("db", SECURITY_DATABASE, data))]


def _boot_options() -> list[Measured]:
    vendor = named_guids()["global_variable"]
    disk = DevicePath((Node(2, 1, bytes.fromhex("d041030a00000000")), Node(1, 1, b"\0\3")))
    esp = DevicePath((*disk.nodes, hard_drive_node(1, 2048, 204800, ESP)))
    options = [
        ("pykexec", esp.append_file(r"\EFI\pykexec\pykexec.efi")),
        ("debian", esp.append_file(r"\EFI\debian\shimx64.efi")),
        ("EFI Internal Shell", DevicePath((file_node("Shell.efi"),))),
    ]
    entries = [
        (f"Boot{number:04X}", bytes(LoadOption(1, *option)))
        for number, option in enumerate(options)
    ]
    order = ("BootOrder", struct.pack(f"<{len(options)}H", *range(len(options))))
    return [
        Measured(1, VARIABLE_BOOT, variable(name, vendor, data), hashed=data)
        for name, data in [order, *entries]
    ]


def application(path: str, image: bytes) -> Measured:
    """An EFI application that the firmware loaded; image stands for what Authenticode hashes."""
    disk = DevicePath((Node(2, 1, bytes.fromhex("d041030a00000000")), Node(1, 1, b"\0\3")))
    device = DevicePath((*disk.nodes, hard_drive_node(1, 2048, 204800, ESP)))
    raw = bytes(device.append_file(path))
    data = struct.pack("<QQQQ", 0x7E000000, len(image), 0, len(raw)) + raw
    return Measured(4, APPLICATION, data, hashed=b"authenticode of " + image)


def driver(path: str, image: bytes) -> Measured:
    """An EFI driver that the agent had the firmware load; image as for application()."""
    return replace(application(path, image), pcr=2, type=DRIVER)


def own_events(boot: Boot) -> list[Measured]:
    """What the stub logs of its image, and the agent of what overrides its configuration."""
    events = [Measured(CONFIG_PCR, EVENT_TAG, describe(dict(boot.sections)))]
    if boot.config is not None:
        config = tagged_event(TpmEventConstant.TAG_CONFIG, CONFIG + boot.config)
        events += [Measured(CONFIG_PCR, EVENT_TAG, config)]
    return events


def old_events(boot: Boot) -> list[Measured]:
    """The same of images of before, or of one that measures as systemd-stub does: a section's name
    twice, for the name and for the contents.
    """
    events = []
    contents = dict(boot.sections)
    for name in SECTION_ORDER:
        if name in contents:
            data = encode_ucs2(name)
            events.append(Measured(11, IPL, data, hashed=name.encode() + b"\0"))
            events.append(Measured(11, IPL, data, hashed=contents[name]))
    if boot.config is not None:
        events.append(Measured(OLD_CONFIG_PCR, IPL, CONFIG + boot.config))
    return events


@cache
def boot_events(boot: Boot) -> tuple[Measured, ...]:
    """What the firmware, the stub and the agent log, fifty events with the default boot."""
    version = (boot.firmware + "\0").encode("utf-16-le")
    blobs = [struct.pack("<QQ", 0x820000, 0xE0000), struct.pack("<QQ", 0x900000, 0xE80000)]
    tables = struct.pack("<Q16sQ", 1, SMBIOS3.data, 0x7F9CC000)
    gpt = b"EFI PART" + bytes(48) + ESP.data + bytes(20) + struct.pack("<Q", 0)
    events = [Measured(0, CRTM_VERSION, version)]
    events += [
        Measured(0, FIRMWARE_BLOB, blob, hashed=f"{boot.firmware} {number}".encode())
        for number, blob in enumerate(blobs)
    ]
    events += _secure_boot(boot)
    events += [Measured(7, SEPARATOR, bytes(4))]
    events += [
        Measured(0, POST_CODE, b"ACPI DATA", hashed=b"tables of " + boot.firmware.encode()),
        Measured(1, HANDOFF_TABLES, tables, hashed=b"smbios of " + boot.firmware.encode()),
    ]
    for number in range(boot.drivers):
        data = struct.pack("<QQQQ", 0x7D000000, 4096 * number, 0, 0)
        events.append(Measured(2, DRIVER, data, hashed=f"option ROM {number}".encode()))
    events += _boot_options()
    events += [Measured(4, ACTION, b"Calling EFI Application from Boot Option")]
    events += [Measured(pcr, SEPARATOR, bytes(4)) for pcr in (0, 1, 2, 3, 4, 5, 6)]
    events += [Measured(5, GPT_EVENT, gpt)]
    events += _authority(boot)
    events += [application(r"\EFI\pykexec\pykexec.efi", boot.image)]
    events += old_events(boot) if boot.old else own_events(boot)
    return tuple(events)
