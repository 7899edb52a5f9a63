# SPDX-License-Identifier: Apache-2.0
"""The demo as `make demo` runs it, and what it says when a stage does not come."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from pykexec.cli import main
from pykexec.demo import windows_machine
from pykexec.demo.attest_machine import PROOF
from pykexec.demo.local import run_local_demo
from pykexec.image import initrd
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import firmware
from pykexec.vm.stages import MissedStage, Progress, Stage
from pykexec.vm.vm import Vm
from pykexec.windows.bitlocker import read_volume
from pykexec.windows.keys import startup_key
from tests.vm.images import COMPRESSION_LEVEL
from tests.vm.payloads import PAYLOADS
from tests.vm.watch import Processes, files_of, forms_of, holders, open_store
from tests.vm.windows import VOLUME


@pytest.fixture(autouse=True)
def quickly_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are made as the other tests' are: at the product's level one takes ten seconds."""
    monkeypatch.setattr(initrd, "_LEVEL", COMPRESSION_LEVEL)


def test_demo_unlocks_a_volume_and_refuses_what_somebody_has_changed(
    artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Processes() as processes:
        assert main(["demo", "--keep", str(artefacts)]) == 0
    shown = capsys.readouterr().out
    assert (
        f"it has unlocked its volume and wiped the RAM disk: /dev/vdb read '{PROOF.strip()}'"
        in (shown)
    )
    for part in (".cmdline", ".initrd"):
        assert re.search(rf"agent says why: policy\.image: .*says that its {part} differs", shown)
    assert shown.count("no payload was started, and on the LUKS2 volume not a bit has changed") == 2
    assert (artefacts / "accepted" / "second-os.png").read_bytes().startswith(b"\x89PNG")

    server = artefacts / "server"
    reasons = ["policy.image"]
    with open_store(server) as store:
        last, before, first = store.attestations()
        assert [[finding.code for finding in each.findings] for each in (last, before, first)] == [
            reasons,
            reasons,
            [],
        ]
        assert (last.released, before.released, first.released) == ((), (), ("root",))
        assert store.verify_audit().faults == ()
        (_, key), *_ = store.open_secrets(store.machines().items[0].id)

    # The key is nowhere in the clear: not in a log, a database, a disk, an image, nor in what any
    # process was told.
    forms = forms_of(bytes(key))
    storing = f"secret\0put\0demo\0root\0--kind\0luks-key\0--parameter\0volume={VOLUME_UUID}"
    assert any(storing.encode() in told for told in processes.seen)
    assert holders(forms, processes.seen) == []
    assert holders(forms, {str(path): path.read_bytes() for path in files_of(artefacts)}) == []
    assert holders(forms, {"this output": shown.encode()}) == []


def test_local_demo_shows_stages_summary_and_pictures(
    artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--local", "--keep", str(artefacts)]) == 0
    shown = capsys.readouterr().out
    assert "stages came" in shown
    assert "| block devices:" in shown
    assert "Debian's signed GRUB" in shown
    assert "a second stock Linux has left boot services for real" in shown
    assert "PCR 11 12 13 14 are zero" in shown
    for name in ("agent", "grub", "second-os"):
        assert (artefacts / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "OS:DONE" in (artefacts / "console.log").read_text()


@pytest.mark.matrix
def test_demo_opens_a_bitlocker_volume_and_says_when_the_key_is_another_ones(
    artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--windows", "--keep", str(artefacts)]) == 0
    shown = capsys.readouterr().out
    assert "agent: the key opens the volume: BitLocker volume" in shown
    assert "agent says what Windows would do: BitLocker volume" in shown
    for name in ("agent", "boot-manager"):
        assert (artefacts / "unlocked" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    console = (artefacts / "unlocked" / "console.log").read_text()
    assert f"WBM:08:vmk:{hashlib.sha256(master_key()).hexdigest()}" in console
    assert "WBM:" not in (artefacts / "mismatch" / "console.log").read_text()
    with open_store(artefacts / "server") as store:
        assert [each.released for each in store.attestations()] == [("bitlocker",)] * 2
        assert store.verify_audit().faults == ()


def master_key() -> bytes:
    """The volume's, opened by its startup key in another way."""
    key = startup_key(memoryview(windows_machine.startup_key()), "key")
    with open(windows_machine.bitlocker(VOLUME), "rb") as file:
        volume = read_volume(lambda offset, size: os.pread(file.fileno(), size, offset), "volume")
    assert volume
    (sealed,) = (each.key for each in volume.protectors if each.identifier == key.identifier)
    assert sealed
    cipher = AESCCM(bytes(key.key), tag_length=16)
    return cipher.decrypt(sealed.nonce, sealed.text + sealed.tag, None)[-32:]


@pytest.mark.matrix
def test_demo_of_a_payload_that_returns_ends_in_the_agent(artefacts: Path) -> None:
    result = run_local_demo(artefacts, ovmf="2022.11", payload="hello")
    assert result.stages[-1].detail.startswith("returned: SUCCESS")


def test_demo_from_the_network_shows_what_served_it(
    artefacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--net", "--keep", str(artefacts)]) == 0
    shown = capsys.readouterr().out
    assert "by `pykexec netboot serve`, in a network of their own" in shown
    assert "found its configuration beside the image: tftp://10.77.0.1/agent.toml" in shown
    assert "GET /grub.efi" in (artefacts / "serve.log").read_text()
    assert "OS:DONE" in (artefacts / "console.log").read_text()


SHELL_STAGE = Stage("the shell is there", "PK:shell:start:(?P<detail>0)", "one")
ABSENT = Stage("something absent", "this never comes", "one", within=5)


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (b"reset -s\r\n", "stage 2 of 2 missed, the machine has ended: something absent"),
        (b"", "stage 2 of 2 not reached within 5 s: something absent"),
        (
            b"echo PANIC: double fault\r\n",
            "stage 2 of 2 missed, the machine said 'PANIC: double fault': something absent",
        ),
    ],
)
def test_a_missed_stage_is_named(end: bytes, fault: str, artefacts: Path, tmp_path: Path) -> None:
    files = {
        "EFI/BOOT/BOOTX64.EFI": PAYLOADS["efi-shell"].files()["shellx64.efi"],
        "startup.nsh": b"@echo -off\r\necho PK:shell:start:0\r\n" + end,
    }
    disk = make_disk(tmp_path / "disk.img", [Esp(files)])
    machine = Machine(firmware(), disks=(Disk(disk.path, bootindex=0),))
    progress = Progress([SHELL_STAGE, ABSENT], lambda reached: None, lambda *line: None)
    with Vm(machine, artefacts, limit_s=100, on_line=progress.line) as vm:
        assert progress.wait(vm, 0).detail == "0"
        with pytest.raises(MissedStage, match=f"^{fault}$") as caught:
            progress.wait(vm, 1)
    assert "PK:shell:start:0" in caught.value.tail


@pytest.mark.parametrize(
    ("option", "fault"),
    [("--kernel=5.4", "no kernel '5.4'"), ("--ovmf=2010.01", "no firmware 2010.01")],
)
def test_demo_refuses_what_there_is_not(
    option: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--keep", str(tmp_path), option]) == 2
    assert fault in capsys.readouterr().err
