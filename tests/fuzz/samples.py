# SPDX-License-Identifier: Apache-2.0
"""Valid inputs for each target of the table, made here; what is kept lies in tests/data/fuzz."""

from __future__ import annotations

import gzip
import lzma
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path

import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import OctKey

from pykexec.attest import protocol
from pykexec.attest.approval import PollRequest
from pykexec.attest.verdict import Finding, Verdict
from pykexec.disk import gpt
from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import Guid
from pykexec.efi.variables import LoadOption
from pykexec.firmware import description
from pykexec.image import reference
from pykexec.image.reference import encode_reference
from pykexec.net import dhcp6_message, dhcp_packet
from pykexec.tpm.seal import Sealed, condition, template
from pykexec.tpm.templates import AK_TEMPLATE, STORAGE_TEMPLATE
from pykexec.verify.jwe import seal_to_key
from pykexec.verify.promises import NUMBERS
from tests.fuzz.exercises import KEY, pieces, recipient
from tests.fuzz.firmware_side import handoff
from tests.support import attest_ca, attest_log, windows_disk
from tests.support.attest_expected import NONCE
from tests.support.attest_machine import Machine
from tests.support.samples import SETUP_SIZE, TEXT, bzimage_file, pe_file
from tests.support.samples_event_log import AGILE_LOG, SHA1_LOG, agile_entry
from tests.unit.image import inputs as image_inputs
from tests.unit.image.inputs import SectionInput, pe_bytes

_LOGS = Path(__file__).resolve().parent.parent / "data/eventlogs"
_PATHS = (
    r"PciRoot(0x0)/Pci(0x1,0x1)/NVMe(0x1,00-11-22-33-44-55-66-77)/"
    r"HD(1,GPT,01234567-89AB-CDEF-0123-456789ABCDEF,0x800,0x100000)/\EFI\BOOT\BOOTX64.EFI",
    "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,0x1)/"
    "IPv4(0.0.0.0,0x0,DHCP,10.0.2.15,10.0.2.2,255.255.255.0)/Dns(10.0.2.3)/Uri(http://h/a.efi)",
    "PciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,0x1)/IPv6(::,0x0,Static,::,0x40,::)/Uri()",
    "VenHw(01234567-89AB-CDEF-0123-456789ABCDEF,0011)/USB(0x1,0x2)/Sata(0x0,0xFFFF,0x0)",
    "PciRoot(0x0)/AcpiAdr(0x80010100)/Uart(115200,8,N,1)/VirtualDisk(0x1000,0x1FFF,0)",
    "BBS(HD,a disk,0x1)/Path(1,77,0011)",
    "VenHw(01234567-89AB-CDEF-0123-456789ABCDEF)/Ata(Secondary,Slave,0x1)",
)
_AGENT = b"""\
locked = false
[payload]
url = "https://server/os.efi"
options = "quiet"
sha256 = "%s"
[wim]
wim = "boot.wim"
stl = "boot.stl"
[failure]
action = "boot-next"
[agent]
timeout_s = 5
shell = false
bridges = ["net"]
[network]
interface = "efi0"
""" % (b"ab" * 32)
_DIGEST = {"sha256": "a1" * 32}
_IMAGE = {"name": "image", "authenticode": _DIGEST, "pcr11": _DIGEST}
_POLICY = {"version": 1, "name": "p", "images": [_IMAGE]}
_SURROUNDINGS = {
    **_POLICY,
    "windows": [
        {"name": "w", "zone": "Europe/Berlin", "from": "22:00", "to": "04:00", "days": ["mon"]},
        {"name": "d", "zone": "UTC", "from": "00:00", "to": "24:00", "dates": ["2026-12-24"]},
    ],
    "networks": {"n": ["10.0.0.0/8", "2001:db8::/32"]},
    "origin": {"networks": ["n"], "by_site": True},
    "rates": [{"name": "r", "tag": "rack", "count": 20, "within_s": 3600, "then": "ask"}],
    "quarantine": {"machines": ["hv-3"], "tags": ["rack=7"]},
    "outdated": [{"name": "o", "versions": ["1.*"], "until": "2027-01-31"}],
    "outside": {"windows": "ask"},
    "approval": {"outside_only": True},
}


@cache
def _machine() -> Machine:
    return Machine()


def agent_tomls() -> list[bytes]:
    menu = b"[menu]\ndefault = 'a'\n[[entry]]\nname = 'a'\nkind = 'reset'\nneeds = []\n"
    return [b"", _AGENT, b"[payload]\npath = '\\EFI\\debian\\grubx64.efi'\n", menu]


def attestations() -> list[bytes]:
    who = protocol.Identity(b"ek", (b"certificate", b"issuer"), b"ak")
    registers = {0: bytes(32), 15: b"\1" * 32}
    evidence = protocol.Evidence(who, b"{}", b"quote", b"signature", "sha256", registers, b"log")
    both = evidence, replace(evidence, log_full=True)
    return [protocol.AttestRequest("token", bytes(32), each).encode() for each in both]


@cache
def signed_images() -> list[bytes]:
    return [windows_disk.authority(windows_disk.CA_2023).sign(pe_bytes())]


def bridge_requests() -> list[bytes]:
    return [b'{"do": "ensure", "kinds": ["block", "tpm"], "handle": 5, "wait_s": 1.5}']


def bzimages() -> list[bytes]:
    return [bzimage_file()]


def certificates() -> list[bytes]:
    pem = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    return [attest_ca.root_der(), *_machine().certificates, pem]


def challenges() -> list[bytes]:
    made = protocol.Challenge("token", NONCE, b"blob", b"secret", "sha256", (0, 7), 60)
    return [made.encode()]


def challenge_requests() -> list[bytes]:
    who = protocol.Identity(b"ek", (b"certificate",), b"ak")
    short = protocol.ChallengeRequest(who, ("sha256", "sha384"))
    rsa = Machine(kind="rsa2048").challenge_request()
    return [each.encode() for each in (short, _machine().challenge_request(), rsa)]


def device_paths() -> list[bytes]:
    return [bytes(DevicePath.from_text(text)) for text in _PATHS]


def device_path_texts() -> list[bytes]:
    return [text.encode() for text in _PATHS]


def dhcp_packets() -> list[bytes]:
    option = dhcp_packet.Option
    options: dict[int, bytes] = {
        option.MESSAGE_TYPE: b"\5",
        option.SERVER_ID: bytes([10, 0, 0, 1]),
        option.SUBNET_MASK: bytes([255, 255, 255, 0]),
        option.ROUTER: bytes([10, 0, 0, 1]),
        option.NAME_SERVER: bytes([10, 0, 0, 1, 10, 0, 0, 2]),
        option.DOMAIN: b"example.org",
        option.MTU: struct.pack("!H", 1400),
        option.LEASE_TIME: bytes(4),
        option.CLASSLESS_ROUTES: bytes([16, 172, 16, 10, 0, 0, 1, 0, 10, 0, 0, 1]),
        option.BOOT_FILE: b"boot\\x64\\pykexec.efi\0",
    }
    plain = dhcp_packet.Packet(
        transaction=7,
        client_address=bytes(4),
        your_address=bytes([10, 0, 0, 5]),
        server_address=bytes([10, 0, 0, 1]),
        hardware=bytes(6),
        server_name="server",
        boot_file="a.efi",
        options=options,
    )
    spread = replace(
        plain, server_name="", boot_file="", options={**options, option.OVERLOAD: b"\3"}
    )
    return [dhcp_packet.build_packet(packet) for packet in (plain, spread)]


def dhcp6_messages() -> list[bytes]:
    option = dhcp6_message.Option
    address = dhcp6_message.pack_options([(option.IA_ADDRESS, b" \1" + bytes(22))])
    options = (
        (option.SERVER_ID, b"server"),
        (option.IA_NA, bytes(12) + address),
        (option.NAME_SERVERS, b" \1" + bytes(14)),
        (option.DOMAINS, b"\7example\3org\0"),
        (option.STATUS, b"\0\0fine"),
    )
    return [dhcp6_message.build_packet(dhcp6_message.Packet(7, 9, options))]


def event_logs() -> list[bytes]:
    names = ("ovmf-2022.11.bin", "tss-nuc.bin")
    tables = agile_entry(1, NUMBERS["EV_EFI_HANDOFF_TABLES"], struct.pack("<Q24x", 1))
    made = [AGILE_LOG + tables, SHA1_LOG, _machine().evidence(NONCE).event_log]
    return [*made, *((_LOGS / name).read_bytes() for name in names)]


def pieces_of_evidence() -> list[bytes]:
    return pieces(_machine().evidence(NONCE))


def disks() -> list[bytes]:
    """A GPT, and the beginnings of file systems."""
    disk = bytearray(128 * 512)
    guid = Guid.parse("01234567-89ab-cdef-0123-456789abcdef")
    partition = gpt.Partition(1, guid, guid, 34, 4, 0, "data")
    gpt.write_gpt(memoryview(disk), gpt.Table(guid, (partition,), False))
    luks = b"LUKS\xba\xbe\0\2" + bytes(16) + b"label".ljust(144, b"\0") + b"uuid".ljust(344, b"\0")
    ext = bytes(1080) + b"\x53\xef" + bytes(2000)
    ntfs = b"\xeb\x52\x90NTFS    \0\2\1" + bytes(34) + b"\4" + bytes(15) + b"\xf6"
    name = b"FILE" + bytes(16) + b"\x18\0\0\0" + struct.pack("<II8xIH2xH", 0x60, 64, 2, 24, 65)
    ntfs = ntfs.ljust(510, b"\0") + b"\x55\xaa" + bytes(4 * 512 + 3 * 1024 - 512) + name
    iso = bytes(32768) + b"\1CD001\1" + bytes(2041)
    return [bytes(disk), luks, ext, ntfs, iso]


def http_answers() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\n"
    return [
        head + b"Content-Length: 5\r\n\r\nhello",
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nLocation: //h/x?y#z\r\n\r\n",
    ]


def problems() -> list[bytes]:
    """Answers that are refusals (RFC 9457)."""
    kind, words = b"Content-Type: application/problem+json\r\n", b'{"detail":"why"}'
    size = b"Content-Length: %d\r\n\r\n" % len(words)
    return [
        b"HTTP/1.1 429 Later\r\nRetry-After: 2\r\n" + kind + size + words,
        b"HTTP/1.1 404 Not Found\r\n" + kind + size + words,
    ]


def images() -> list[bytes]:
    return [*pe_files(), *bzimages(), *signed_images(), unified_image(), handoff()]


@cache
def unified_image() -> bytes:
    """With what a stub would measure, and say of itself."""
    contents = {
        ".cmdline": b"quiet",
        ".uname": b"6.1.0",
        ".osrel": b"ID=pykexec\nVERSION_ID=1\nPRETTY_NAME=image\n",
        ".linux": bzimages()[0],
        ".initrd": b"initrd",
    }
    contents[description.DESCRIPTION] = description.describe(contents)
    sections = (
        SectionInput(name, 0x3000 + 0x1000 * number, data)
        for number, (name, data) in enumerate(contents.items())
    )
    return pe_bytes([image_inputs.TEXT, image_inputs.SBAT, *sections], image_size=0x10000)


def kernels() -> list[bytes]:
    """With a configuration inside, packed by gzip, by xz and not at all."""
    config = b"IKCFG_ST" + gzip.compress(b"CONFIG_TUN=y\nCONFIG_DEV_DAX=m\n") + b"IKCFG_ED"
    made = []
    for payload in (gzip.compress(config), lzma.compress(config), config):
        file = bytearray(bzimage_file())
        struct.pack_into("<II", file, 0x248, len(file) - SETUP_SIZE, len(payload))
        made.append(bytes(file) + payload)
    return made


def reference_values() -> list[bytes]:
    return [unified_image(), encode_reference(reference.reference_values(unified_image(), "x"))]


def tokens() -> list[bytes]:
    header = {"alg": "dir", "enc": "A256GCM"}
    return [jwe.encrypt_compact(header, b"secret", OctKey.import_key(KEY)).encode()]


def tokens_to_key() -> list[bytes]:
    """As the server seals them."""
    x, y = (int.from_bytes(each) for each in (recipient().x, recipient().y))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return [seal_to_key(b"secret", key).encode()]


def load_options() -> list[bytes]:
    return [bytes(LoadOption(1, "Linux", DevicePath.from_text(text), b"x\0")) for text in _PATHS]


def ders() -> list[bytes]:
    return [b"".join(_machine().certificates)]


def pe_files() -> list[bytes]:
    return [pe_file(), pe_file([TEXT])]


def policies() -> list[bytes]:
    least = b'version = 1\nname = "p"\nallow_any_image = true\n'
    return [least, *(tomli_w.dumps(whole).encode() for whole in (_POLICY, _SURROUNDINGS))]


def poll_requests() -> list[bytes]:
    return [PollRequest("ticket", bytes(32)).encode()]


def quotes() -> list[bytes]:
    return [_machine().evidence(NONCE).quote]


def replies() -> list[bytes]:
    refused = Verdict((Finding("quote.nonce", "old"), Finding("clock", "odd", refuses=False)))
    given = protocol.AttestReply(Verdict(), "a.b.c.d.e")
    pending = protocol.Pending("https://a/b", "BCDF-GHJK", "ticket", 600, 5, "web-1", ("01", "10"))
    waits = protocol.AttestReply(refused, pending=pending)
    return [protocol.AttestReply(refused).encode(), given.encode(), waits.encode()]


def sealeds() -> list[bytes]:
    public = template(condition("sha256", (7,), b""), bytes(32)).encode()
    return [Sealed(public, b"private").encode()]


def signature_lists() -> list[bytes]:
    kind = Guid.parse("c1c41626-504c-4092-aca9-41f936934328")
    return [attest_log.signature_list(kind, [bytes(32), b"\1" * 32])]


def statements() -> list[bytes]:
    plain, said = _machine().statement(NONCE), {"slot": "a", "failed": "2", "reason": "it hangs"}
    return [plain.encode(), replace(plain, installed=said).encode()]


def tftp_conversations() -> list[bytes]:
    option = b"\0\6blksize\0008\0tsize\00011\0windowsize\0002\0"
    blocks = [option, b"\0\3\0\1" + b"A" * 8, b"\0\3\0\2end"]
    refused = [b"\0\5\0\x08no\0", b"\0\3\0\1" + b"A" * 512, b"\0\3\0\2end"]
    return [b"".join(len(p).to_bytes(2) + p for p in packets) for packets in (blocks, refused)]


def publics() -> list[bytes]:
    return [AK_TEMPLATE.encode(), STORAGE_TEMPLATE.encode(), *_ek_publics()]


def _ek_publics() -> list[bytes]:
    return [Machine(kind=kind).ek_public for kind in ("ecc-p256", "rsa2048")]


def tpm_responses() -> list[bytes]:
    def answer(question: int, body: bytes) -> bytes:
        return bytes([question]) + struct.pack(">HII", 0x8001, 10 + len(body), 0) + body

    area = AK_TEMPLATE.encode()
    name = (34).to_bytes(2) + AK_TEMPLATE.name
    return [
        answer(0, b"\0" + struct.pack(">III", 1, 1, 0x81010001)),
        answer(1, b"\0" + struct.pack(">II", 5, 1) + b"\0\x0b\3\xff\xff\xff"),
        answer(2, b"\0" + struct.pack(">IIII", 6, 1, 0x12C, 1024)),
        answer(3, struct.pack(">IIHB3sI", 1, 1, 11, 3, b"\7\0\0", 3) + (b"\0\x20" + bytes(32)) * 3),
        answer(5, len(area).to_bytes(2) + area + name * 2),
    ]


def urls() -> list[bytes]:
    return [
        b"http://server:81/a/./b/../c?x=1",
        b"tftp://[fe80::1%25eth0]/a%5Cb.efi",
        b"https://h?x",
    ]
