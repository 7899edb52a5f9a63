# SPDX-License-Identifier: Apache-2.0
"""The wheel is whole: it needs no compiler, carries the stub, and works where it was installed."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

import pykexec
from pykexec.run import run

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@pytest.fixture(scope="module", name="wheel")
def wheel_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from what git would hand out."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    source.mkdir()
    names = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    listed = [name for name in names.decode().split("\0") if name and (ROOT / name).exists()]
    archive = run(["tar", "-c", "-C", ROOT, "--", *listed])
    run(["tar", "-x", "-C", source], stdin=archive)
    run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", directory, source])
    (wheel,) = directory.glob("*.whl")
    return wheel


def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path) -> None:
    assert wheel.name == f"pykexec-{pykexec.__version__}-cp311-abi3-linux_x86_64.whl"


@pytest.mark.parametrize(
    "name",
    [
        "pykexec/data/stub.efi",
        "pykexec/data/resume.bin",
        "pykexec/data/ramdisk.efi",
        "pykexec/_native.abi3.so",
        "pykexec/_crypto.abi3.so",
        "pykexec/vm/guest_os.sh",
        "pykexec/py.typed",
        f"pykexec-{pykexec.__version__}.dist-info/licenses/LICENSE",
    ],
)
def test_the_wheel_holds(wheel: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


def test_an_installed_wheel_works_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    run([*PIP, "install", "--no-deps", "--target", tmp_path / "site", wheel])
    stub = tmp_path / "site" / "pykexec" / "data" / "stub.efi"
    report = run(
        [sys.executable, "-m", "pykexec", "inspect", "--json", stub],
        cwd=tmp_path,
        env={"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path / "site")},
    )
    assert json.loads(report)["kind"]
