# SPDX-License-Identifier: Apache-2.0
"""Our image from the network: its configuration beside it, its payload over the bridged NIC."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.netboot import Settings, Tls, serve
from pykexec.vm import ovmf
from pykexec.vm.bootvars import UriEntry, boot_entry, write_boot_entries
from pykexec.vm.grub import grub_image
from pykexec.vm.machine import Machine, Nic
from pykexec.vm.ovmf import Firmware
from tests.support.samples_tls import Certified, certified
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.faulty_server import faulty_server
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, with_entries

HOST = "10.0.2.2"  # this machine, as QEMU's user network shows it
NOW = ("-rtc", "base=utc")  # Certificates are made now.

# What GRUB finds of the network after Linux had the NIC.
_GRUB = """\
echo "PK:grub:start:0"
net_bootp
cat (tftp,10.0.2.2)/boot/fetched.txt
echo "PK:grub:done:0"
reboot
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A directory for TFTP and HTTP: in boot/ the image without configuration, and hello.efi."""
    directory = tmp_path / "served"
    (directory / "boot").mkdir(parents=True)
    (directory / "boot" / "pykexec.efi").write_bytes(images.image().read_bytes())
    (directory / "boot" / "hello.efi").write_bytes(images.hello().read_bytes())
    return directory


@pytest.fixture
def web(served: Path) -> Iterator[int]:
    """The port at which served is served over HTTP."""
    with serve(Settings(served, http_port=0), lambda line: None) as server:
        yield server.http_port


def toml(url: str, options: str = "", sha256: str = "", network: str = "") -> str:
    """An agent.toml that starts what url names, and the firmware's next entry if that fails."""
    payload = f"[payload]\nurl = '{url}'\noptions = '{options}'\nsha256 = '{sha256}'\n"
    return f"{payload}[network]\n{network}\n"


def sha256(path: Path) -> str:
    """The digest that pins a payload."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expect_hello(guest: Guest, options: str) -> None:
    """kexec leads to hello.efi, which has these options."""
    guest.vm.expect_stage("agent", "resume")
    guest.vm.expect_stage("payload", "started")
    guest.vm.expect(rf"PK:payload:options:{options}\n", within=10)


def test_pxe_brings_the_configuration_by_tftp_and_the_payload_by_http(
    boot: Boot, served: Path, web: int
) -> None:
    address = f"http://{HOST}:{web}/boot/hello.efi"
    config = toml(address, "by http", sha256(served / "boot" / "hello.efi"))
    (served / "boot" / "agent.toml").write_text(config)
    nic = Nic(tftp=served, bootfile="boot/pykexec.efi", bootindex=0)
    guest = Guest(boot(Machine(ovmf.firmware("2022.11"), nic=nic)))
    guest.vm.expect(rf"^configuration: tftp://{HOST}/boot/agent\.toml$", within=180)
    guest.vm.expect(f"^starting {address}$")
    expect_hello(guest, "by http")


def test_locked_image_by_pxe_takes_no_configuration_and_its_payload_by_tftp(
    boot: Boot, served: Path
) -> None:
    locked = images.image(config="locked = true\n" + toml("hello.efi", "embedded and locked"))
    (served / "boot" / "pykexec.efi").write_bytes(locked.read_bytes())
    (served / "boot" / "agent.toml").write_text(toml("hello.efi", "from the network"))
    nic = Nic(tftp=served, bootfile="boot/pykexec.efi", bootindex=0)
    guest = Guest(boot(Machine(ovmf.firmware("2025.02"), nic=nic)))
    guest.vm.expect(rf"^starting tftp://{HOST}/boot/hello\.efi$", within=180)
    expect_hello(guest, "embedded and locked")
    assert "configuration: " not in guest.vm.console.text


def test_http_boot_brings_configuration_and_grub_by_http(
    boot: Boot, tmp_path: Path, served: Path, web: int
) -> None:
    (served / "boot" / "agent.toml").write_text(toml("grub.efi"))
    (served / "boot" / "grub.efi").write_bytes(grub_image("2.12", _GRUB).read_bytes())
    (served / "boot" / "fetched.txt").write_bytes(b"GRUB has the network\n")
    chosen = ovmf.firmware("2025.02")
    variables = tmp_path / "variables.fd"
    entry = UriEntry("web", f"http://{HOST}:{web}/boot/pykexec.efi")
    write_boot_entries(chosen.variables, variables, [entry])
    machine = Machine(chosen, variables=variables, nic=Nic(tftp=served))
    guest = Guest(boot(machine))
    guest.vm.expect(rf"^configuration: http://{HOST}:{web}/boot/agent\.toml$", within=180)
    guest.vm.expect(rf"^starting http://{HOST}:{web}/boot/grub\.efi$")
    guest.vm.expect_stage("grub", "start", within=90)
    guest.vm.expect("GRUB has the network", within=90)
    assert guest.vm.wait_exit(30) == "guest-reset"


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """A server that the pinned authority vouches for."""
    return certified(tmp_path_factory.mktemp("trusted"), f"IP:{HOST}")


def test_the_shell_fetches_by_https_and_says_why_not(
    boot: Boot, tmp_path: Path, firmware: Firmware, served: Path, trusted: Certified
) -> None:
    other = certified(tmp_path / "other", f"IP:{HOST}")
    pem = trusted.authority.read_text()
    config = f'[network]\nca = """{pem}"""\ntimeout_s = 3\n'
    disk = disk_with(tmp_path, images.image(config=config), {})
    machine = Machine(firmware, nic=Nic(), extra=NOW)
    machine = with_entries(machine, tmp_path, disk, [boot_entry(disk, IMAGE_PATH)])

    def settings(keys: Certified) -> Settings:
        return Settings(served, http_port=0, tls=Tls(keys.certificate, keys.key, 0))

    with (
        faulty_server() as bad,
        serve(settings(trusted), print) as good,
        serve(settings(other), print) as foreign,
    ):
        guest = Guest(boot(machine)).ready().quick()
        faults = {
            f"https://{HOST}:{foreign.https_port}/boot/hello.efi": "certificate refused: ",
            f"https://{HOST}:{good.https_port}/boot/none.efi": "404 Not Found",
            f"http://{HOST}:{good.http_port}/boot/hello.efi": "this needs HTTPS, or a sha256",
            f"http://{HOST}:{bad}/none.efi --sha256 00": "404 Not Found",
            f"http://{HOST}:{bad}/truncated.efi --sha256 00": "cut off after 50000 bytes of 100000",
            f"http://{HOST}:{bad}/oversize.efi --sha256 00": "2000000000 bytes, more than the ",
            f"http://{HOST}:{bad}/silent.efi --sha256 00": "no answer within 3 s",
            f"http://{HOST}:{good.http_port}/boot/hello.efi --sha256 00": "its SHA-256 is ",
            f"tftp://{HOST}/hello.efi --sha256 00": "tftp://",
        }
        for words, fault in faults.items():
            result = guest.run(f"pykexec exec {words}", within=60)
            assert (result.status, fault in result.output) == (9, True), (words, result)
            assert result.output.splitlines()[-1].startswith(f"pykexec: {words.split()[0]}: ")
        guest.send(f"pykexec exec https://{HOST}:{good.https_port}/boot/hello.efi --options tls")
        expect_hello(guest, "tls")


def test_payloads_that_cannot_be_had_end_in_the_failure_action(
    boot: Boot, tmp_path: Path, served: Path, web: int
) -> None:
    with faulty_server() as bad:
        hello = f"http://{HOST}:{web}/boot/hello.efi"
        silent = f"http://{HOST}:{bad}/silent.efi"
        configs = {
            "digest": (toml(hello, sha256="ab" * 32), f"{hello}: its SHA-256 is "),
            "dead": (toml(silent, network="timeout_s = 2"), f"{silent}: no answer within 2 s"),
        }
        files = {
            f"EFI/{name}.efi": images.image(config=config) for name, (config, _) in configs.items()
        }
        disk = disk_with(tmp_path, images.hello(), dict(files))
        entries = [boot_entry(disk, rf"\EFI\{name}.efi") for name in configs]
        entries.append(boot_entry(disk, HELLO_PATH, "after all faults"))
        machine = replace(Machine(ovmf.firmware("2025.02")), nic=Nic())
        guest = Guest(boot(with_entries(machine, tmp_path, disk, entries)))
        for _, fault in configs.values():
            guest.vm.expect(f"^pykexec: {fault}", within=120)
            guest.vm.expect_stage("stub", "action", 2)
        guest.payload_ran("after all faults")
