# SPDX-License-Identifier: Apache-2.0
"""pykexec install: what it takes, what it prints, and that it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.cli import main
from pykexec.disk.gpt import ESP_TYPE, Partition
from pykexec.efi.guid import Guid
from pykexec.errors import UsageError
from pykexec.install import machine
from pykexec.install.change import Machine
from pykexec.install.volume import MountedVolume
from pykexec.kexec.mounts import Mount
from tests.support.boot_manager import NEW, OLD, OLDER, World
from tests.support.windows_disk import UEFI_CA_2011, authority

ESP = Guid.parse("eeeeeeee-0000-4000-8000-eeeeeeeeeeee")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose ESP is a directory; images beside it."""
    (tmp_path / "efivars").mkdir()
    world = World(tmp_path / "efivars")
    monkeypatch.setattr(machine, "find_machine", lambda esp, report: _machine(world, tmp_path))
    for name, data in (("old", OLD), ("new", NEW), ("older", OLDER)):
        (tmp_path / name).write_bytes(data)
    return tmp_path


def _machine(world: World, directory: Path) -> Machine:
    esp = directory / "esp"
    esp.mkdir(exist_ok=True)
    found = world.machine
    volume = MountedVolume(esp)
    return Machine(volume, found.nvram, found.drive, found.partition, print)


def run(*words: object) -> int:
    return main(["install", *map(str, words)])


def test_install_update_status_promote_rollback_remove(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files / "old", "--order", "last") == 0
    assert run("--update", files / "new") == 0
    assert "nobody vouches for it" in capsys.readouterr().out
    assert run("--status") == 0
    assert "on trial: " in capsys.readouterr().out
    assert run("--status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["boot_order"] == ["Boot0003", "Boot0000"]
    assert status["trial"]["slot"] == "b" and status["partition"] == str(ESP)
    assert run("--promote") == 0
    assert run("--rollback") == 0
    assert "slot a, pykexec 1.0 (Linux 6.12.1): boots from now on" in capsys.readouterr().out
    assert run("--remove") == 0
    assert list((files / "esp/EFI/pykexec").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        ([], 2, "IMAGE: missing"),
        (["--update"], 2, "IMAGE: missing"),
        (["x", "--status"], 2, "--status: takes no IMAGE"),
        (["old", "--update", "--order", "last"], 2, "--order: is for a first installation"),
        (["old", "--update", "--fallback"], 2, "--fallback: is for a first installation"),
        (["--remove", "--reboot"], 2, "--reboot: needs an IMAGE"),
        (["old", "--json"], 2, "--json: needs --status"),
        (["none"], 3, "none: No such file"),
        (["old", "--sha256", "00"], 3, "old: its SHA-256 is "),
        (["old", "--cert", "old"], 3, "old: no certificate"),
        (["old", "--cert", "ca.pem"], 3, f"old: not signed by {UEFI_CA_2011}"),
        (["--promote"], 2, "no image of pykexec is installed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    fault: str,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    certificate = x509.load_der_x509_certificate(authority(UEFI_CA_2011).der)
    (files / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    monkeypatch.chdir(files)
    assert run(*words) == code
    err = capsys.readouterr().err
    assert fault in err and err.count("\n") == 1
    assert not list((files / "esp").rglob("*.efi")) if (files / "esp").exists() else True


def test_a_downgrade_is_one_line_and_may_be_forced(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(files / "old")
    assert run("--update", files / "older") == 3
    assert "a downgrade: pykexec 0.9, 1.0 is in use (--force)" in capsys.readouterr().err
    assert run("--update", files / "older", "--force") == 0


MOUNTS = [
    Mount("8:1", "/", "/", "ext4", "/dev/sda1"),
    Mount("8:2", "/", "/boot/efi", "vfat", "/dev/sda2"),
    Mount("8:2", "/", "/efi", "vfat", "/dev/sda2"),
    Mount("8:3", "/", "/mnt", "vfat", "/dev/sda3"),
    Mount("8:2", "/sub", "/sub", "vfat", "/dev/sda2"),
]


@pytest.mark.parametrize(
    ("mounts", "esp", "found"),
    [
        (MOUNTS, None, "/boot/efi"),
        (MOUNTS, "/mnt", "/mnt"),
        (MOUNTS[:1], None, "none is mounted; say which by --esp"),
        ([*MOUNTS, Mount("8:18", "/", "/boot", "vfat", "x")], None, "/boot/efi, /boot; say which"),
        (MOUNTS, "/", "/: is not where a FAT volume is mounted"),
        (MOUNTS, "/boot/efi/EFI", "is not where a FAT volume is mounted"),
        (MOUNTS, "/sub", "is not where a FAT volume is mounted"),
    ],
)
def test_the_partition_is_found(
    mounts: list[Mount], esp: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partition_of(path: str, mount: Mount) -> Partition:
        other = Guid.parse("11111111-0000-4000-8000-eeeeeeeeeeee")
        return Partition(2, other if mount.device == "8:3" else ESP_TYPE, ESP, 1, 2, 0, "")

    monkeypatch.setattr(machine, "read_mounts", lambda: mounts)
    monkeypatch.setattr(machine, "partition_of", partition_of)
    monkeypatch.setattr("os.access", lambda path, mode: True)
    monkeypatch.setattr("os.path.isdir", lambda path: True)
    try:
        here = machine.find_machine(esp, print)
    except UsageError as error:
        assert found in str(error)
    else:
        assert (str(here.volume.root), here.partition) == (found, ESP)  # type: ignore[attr-defined]


def test_a_partition_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_mounted", lambda: iter([("/boot/efi", None)]))
    monkeypatch.setattr("os.path.isdir", lambda path: True)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(UsageError, match="/boot/efi: cannot be written"):
        machine.find_machine(None, print)
