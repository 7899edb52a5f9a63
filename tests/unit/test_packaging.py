# SPDX-License-Identifier: Apache-2.0
"""The wheel is whole: it needs no compiler, carries the stub, and works where it was installed."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from pykexec.about import NUMBER
from pykexec.run import run
from tests.lint.tree import ROOT, relative, tracked
from tests.support.samples_git import commit_all
from tests.support.shared import once

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def build_backend(source: Path, call: str) -> str:
    """What setuptools answers in source to the call of a build backend's hook (PEP 517)."""
    script = f"from setuptools import build_meta; print(build_meta.{call})"
    return run([sys.executable, "-c", script], cwd=source).decode().splitlines()[-1]


@pytest.fixture(scope="module", name="made")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with source, checkout and wheel, each made of the one before."""

    def make(directory: Path) -> None:
        source, checkout, wheel = (directory / name for name in ("source", "checkout", "wheel"))
        source.mkdir()
        archive = run(["tar", "-c", "-C", ROOT, "--", *map(relative, tracked())])
        run(["tar", "-x", "-C", source], stdin=archive)
        shutil.copytree(source, checkout)
        commit_all(checkout)
        wheel.mkdir()
        sdist = wheel / build_backend(checkout, f"build_sdist({str(wheel)!r})")
        run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", wheel, sdist])

    return once(tmp_path_factory, "made", make)


@pytest.fixture(name="source")
def source_fixture(made: Path) -> Path:
    """What git would hand out, without git."""
    return made / "source"


@pytest.fixture(name="checkout")
def checkout_fixture(made: Path) -> Path:
    """The same as a git checkout."""
    return made / "checkout"


@pytest.fixture(name="version")
def version_fixture(checkout: Path) -> str:
    """What that checkout's packages are to be called."""
    commit = run(["git", "rev-parse", "HEAD"], cwd=checkout).decode()[:12]
    return f"{NUMBER}+g{commit}"


@pytest.fixture(name="wheel")
def wheel_fixture(made: Path) -> Path:
    """A wheel built from the source distribution that the checkout makes."""
    (wheel,) = (made / "wheel").glob("*.whl")
    return wheel


def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path, version: str) -> None:
    assert wheel.name == f"pykexec-{version}-cp311-abi3-linux_x86_64.whl"


@pytest.mark.parametrize("kind", ["source", "checkout"])
def test_the_version_of_a_package_names_the_commit_where_there_is_one(
    kind: str, request: pytest.FixtureRequest, version: str, tmp_path: Path
) -> None:
    directory: Path = request.getfixturevalue(kind)
    metadata = build_backend(directory, f"prepare_metadata_for_build_wheel({str(tmp_path)!r})")
    assert metadata == f"pykexec-{version if kind == 'checkout' else NUMBER}.dist-info"


@pytest.mark.parametrize(
    "name",
    [
        "pykexec/data/stub.efi",
        "pykexec/data/resume.bin",
        "pykexec/data/ramdisk.efi",
        "pykexec/data/hello.efi",
        "pykexec/_native.abi3.so",
        "pykexec/_crypto.abi3.so",
        "pykexec/vm/guest_os.sh",
        "pykexec/py.typed",
        "pykexec-{version}.data/data/share/man/man1/pykexec.1",
        "pykexec-{version}.dist-info/licenses/LICENSE",
    ],
)
def test_the_wheel_holds(wheel: Path, name: str, version: str) -> None:
    assert name.format(version=version) in zipfile.ZipFile(wheel).namelist()


def test_an_installed_wheel_works_without_compiler_and_git(
    wheel: Path, version: str, tmp_path: Path
) -> None:
    run([*PIP, "install", "--no-deps", "--target", tmp_path / "site", wheel])
    stub = tmp_path / "site" / "pykexec" / "data" / "stub.efi"

    def pykexec(*words: str | Path) -> str:
        alone = {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path / "site")}
        command = [sys.executable, "-m", "pykexec", *words]
        return run(command, cwd=tmp_path, env=alone).decode()

    assert json.loads(pykexec("inspect", "--json", stub))["kind"]
    assert pykexec("--version") == f"pykexec {version}\n"
