# SPDX-License-Identifier: Apache-2.0
"""The disk that WinPE is started from, as mtools see it, and what is refused before it is made."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pykexec.config.agent import NetworkConfig
from pykexec.config.wim import WimConfig, WimPart
from pykexec.disk import boot_disk
from pykexec.efi.guid import named_guids
from pykexec.errors import FormatError
from pykexec.firmware.devices import CHUNK_SIZE
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec.sources import Source
from pykexec.memory import MemoryDescriptor, MemoryMap, Range
from pykexec.run import run
from pykexec.windows.winpe import disk_image, largest_free, small_files
from tests.support.installer import configuration, make_installer
from tests.support.wims import hollow_wim
from tests.unit.image.inputs import pe_bytes

WIM = WimConfig(WimPart("boot.wim"), stl=WimPart("boot.stl"))
START = boot_disk.PARTITION_SECTOR * 512
PLACES = {
    "EFI/BOOT/BOOTX64.EFI": "bootmgfw.efi",
    "EFI/Microsoft/Boot/bootmgfw.efi": "bootmgfw.efi",
    "EFI/Microsoft/Boot/BCD": "BCD",
    "Boot/BCD": "BCD",
    "boot/boot.sdi": "boot.sdi",
    "EFI/Microsoft/Boot/boot.stl": "boot.stl",
    "Boot/boot.stl": "boot.stl",
    "sources/boot.stl": "boot.stl",
    "sources/boot.wim": "boot.wim",
}


@pytest.fixture(name="mailbox")
def mailbox_fixture(tmp_path: Path) -> Mailbox:
    """A mailbox that nobody answers: what is wrong must be found before it is asked."""
    (tmp_path / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
    return Mailbox(tmp_path)


@pytest.fixture(scope="module", name="made")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installer")
    make_installer(directory, pe_bytes(subsystem=10), "--check", size=3_000_000)
    return directory


@pytest.fixture(name="files")
def files_fixture(made: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "winpe"))


def write_disk(mailbox: Mailbox, directory: Path, wim: WimConfig = WIM) -> tuple[Path, list[str]]:
    """The disk in a file, and what was reported."""
    said: list[str] = []
    manager = f"{directory}/bootmgfw.efi"
    source = Source(mailbox, manager, None, NetworkConfig())
    small, wim_path = small_files(source, wim, WimPart(manager), said.append)
    path = directory.parent / "disk.img"
    with source.open(wim.wim.source, 1 << 32, wim.wim.sha256) as image, open(path, "wb") as file:
        disk = disk_image(image, small, wim_path, said.append)
        for piece in disk.pieces():
            assert len(piece) <= CHUNK_SIZE
            file.write(piece)
        assert file.tell() == disk.size
    return path, said


def read(disk: Path, name: str) -> bytes:
    return run(["mtype", "-i", f"{disk}@@{START}", f"::/{name}"])


def test_every_file_is_where_installation_media_have_it(mailbox: Mailbox, files: Path) -> None:
    disk, _ = write_disk(mailbox, files)
    shown = run(["mdir", "-/", "-b", "-i", f"{disk}@@{START}", "::/"]).decode().lower().split()
    assert sorted(name for name in shown if not name.endswith("/")) == sorted(
        f"::/{name}".lower() for name in PLACES
    )
    for name, original in PLACES.items():
        assert read(disk, name) == (files / original).read_bytes(), name
    disk.with_suffix(".fat").write_bytes(disk.read_bytes()[START:])
    run(["fsck.fat", "-n", str(disk.with_suffix(".fat"))])


def test_without_a_stl_there_is_none(mailbox: Mailbox, files: Path) -> None:
    disk, _ = write_disk(mailbox, files, replace(WIM, stl=None))
    shown = run(["mdir", "-/", "-b", "-i", f"{disk}@@{START}", "::/"]).decode().lower()
    assert "boot.wim" in shown and "boot.stl" not in shown


def test_the_wim_lies_where_the_bcd_names_it(mailbox: Mailbox, files: Path) -> None:
    data = configuration(r"\Boot\x64\Images\LiteTouch.wim", r"Boot\x64\boot.sdi")
    (files / "BCD").write_bytes(data)
    disk, _ = write_disk(mailbox, files)
    assert read(disk, "Boot/x64/Images/LiteTouch.wim") == (files / "boot.wim").read_bytes()
    assert read(disk, "Boot/x64/boot.sdi") == (files / "boot.sdi").read_bytes()


def test_a_bcd_that_names_no_wim_is_told_of(mailbox: Mailbox, files: Path) -> None:
    (files / "BCD").write_bytes(configuration(wim=""))
    disk, said = write_disk(mailbox, files)
    assert said[0].startswith(f"{files}/BCD: its default entry, {{01234567-")
    assert said[0].endswith(r"names no wim; \sources\boot.wim is taken")
    assert read(disk, "sources/boot.wim") == (files / "boot.wim").read_bytes()


def test_progress_is_told_in_tenths(mailbox: Mailbox, files: Path) -> None:
    _, said = write_disk(mailbox, files)
    assert said[-1] == f"{files}/boot.wim: 100 % of {said[-1].rpartition(' of ')[2]}"
    assert 2 <= len(said) <= 10


def spoil(path: Path, data: bytes | None = None, cut: int = 0) -> None:
    path.write_bytes(path.read_bytes()[:-cut] if data is None else data)


@pytest.mark.parametrize(
    ("name", "data", "cut", "fault"),
    [
        ("boot.wim", None, 1000, "is cut off: its .* ends at "),
        ("boot.wim", None, 2_500_000, "is cut off: its lookup table ends at "),
        ("boot.wim", b"", 0, "is empty"),
        ("boot.wim", b"<html>404</html>" * 20, 0, "is no wim: it does not begin with MSWIM"),
        ("BCD", b"", 0, "is empty"),
        ("BCD", b"regf" + bytes(8000), 0, ""),
        ("BCD", configuration(path=r"\windows\system32\boot\winload.exe"), 0,
         r"starts \\windows\\system32\\boot\\winload\.exe: it is that of a BIOS"),
        ("boot.sdi", b"SDI", 0, r"is no \.sdi: it does not begin with \$SDI"),
        ("bootmgfw.efi", b"MZ", 0, "truncated"),
        ("boot.stl", b"", 0, "is empty"),
    ],
)  # fmt: skip
def test_each_bad_file_has_its_line(
    name: str, data: bytes | None, cut: int, fault: str, mailbox: Mailbox, files: Path
) -> None:
    spoil(files / name, data, cut)
    with pytest.raises(FormatError, match=rf"^{files}/{name}: {fault}"):
        write_disk(mailbox, files)


@pytest.mark.parametrize("name", ["boot.wim", "BCD", "boot.sdi", "boot.stl", "bootmgfw.efi"])
def test_a_file_that_is_not_there_is_named(name: str, mailbox: Mailbox, files: Path) -> None:
    (files / name).unlink()
    with pytest.raises(FormatError, match=rf"^{files}/{name}: No such file or directory$"):
        write_disk(mailbox, files)


@pytest.mark.parametrize("name", ["wim", "sdi", "bcd", "stl"])
def test_a_file_of_another_digest_is_refused(name: str, mailbox: Mailbox, files: Path) -> None:
    part: WimPart = getattr(WIM, name)
    digest = hashlib.sha256((files / part.source).read_bytes()).hexdigest()
    write_disk(mailbox, files, replace(WIM, **{name: replace(part, sha256=digest.upper())}))
    other = replace(WIM, **{name: replace(part, sha256="ab" * 32)})
    fault = rf"/{part.source}: its SHA-256 is {digest}, not (ab){{32}}$"
    with pytest.raises(FormatError, match=fault):
        write_disk(mailbox, files, other)


def test_pieces_that_touch_are_one_piece_of_free_memory() -> None:
    conventional, data = 7, 4
    rows = [(0, 4, conventional), (4, 6, conventional), (6, 7, data), (8, 15, conventional),
            (16, 19, conventional)]  # fmt: skip
    found = MemoryMap(tuple(MemoryDescriptor(Range(a, b), type_, 0) for a, b, type_ in rows))
    assert largest_free(found) == 7
    assert largest_free(MemoryMap(found.descriptors[:3])) == 6
    assert largest_free(MemoryMap(())) == 0


# Fetched from a server, looked at, put into pieces: in a process of its own, whose memory is known.
MEASURED = """
import sys
from pykexec.config.url import parse_url
from pykexec.kexec.ramdisk import Image
from pykexec.net.download import open_download
from pykexec.net.transfer import Limits
from pykexec.windows.winpe import disk_image

def peak_kib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))

before = peak_kib()
with open_download(parse_url(sys.argv[1]), Limits()) as found:
    image = Image("boot.wim", found.total, found.pieces)
    disk = disk_image(image, {r"\\Boot\\BCD": b"b"}, r"\\sources\\boot.wim", print)
    size = sum(map(len, disk.pieces()))
print(size, peak_kib() - before)
"""


def test_a_wim_goes_by_and_is_never_in_memory(tmp_path: Path) -> None:
    size = 400 << 20
    hollow_wim(tmp_path / "boot.wim", size)
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--directory", str(tmp_path)], stdout=subprocess.PIPE, text=True, bufsize=1,
        env={"PYTHONUNBUFFERED": "1"}, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            assert server.stdout
            port = server.stdout.readline().split(" port ")[1].split()[0]
            address = f"http://127.0.0.1:{port}/boot.wim"
            words = run([sys.executable, "-c", MEASURED, address]).decode().split()
        finally:
            server.terminate()
    total, grown_kib = int(words[-2]), int(words[-1])
    assert total > size
    assert grown_kib < 24 << 10
