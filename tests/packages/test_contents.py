# SPDX-License-Identifier: Apache-2.0
"""What the Debian package says of itself, and what is in it."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from pykexec.run import run
from tests.lint.tree import ROOT

SITE = re.compile(r"\./usr/lib/pykexec/lib/python3\.\d+/site-packages/")


@pytest.fixture(scope="module", name="members")
def members_fixture(package: Path) -> dict[str, tarfile.TarInfo]:
    """Its files, by their names."""
    data = io.BytesIO(run(["dpkg-deb", "--fsys-tarfile", package]))
    with tarfile.open(fileobj=data) as tar:
        return {info.name: info for info in tar}


def field(package: Path, name: str) -> str:
    return run(["dpkg-deb", "--field", package, name]).decode().strip()


def test_lintian_finds_nothing(package: Path) -> None:
    (changes,) = package.parent.glob("*.changes")
    run(["lintian", "--fail-on", "error,warning", changes], timeout_s=250)


def test_it_belongs_to_the_python_that_it_was_built_with(
    package: Path, members: dict[str, tarfile.TarInfo]
) -> None:
    depends = [word.split()[0] for word in field(package, "Depends").split(", ")]
    (python,) = (name for name in depends if name.startswith("python"))
    assert members["./usr/lib/pykexec/bin/python3"].linkname.endswith(f"/bin/{python}")
    assert {name.split("/")[5] for name in members if SITE.match(name)} == {python}
    assert {"libc6", "libssl3", "ca-certificates"} <= {
        name.replace("libssl3t64", "libssl3") for name in depends
    }


def test_settings_are_all_that_is_the_operators(package: Path) -> None:
    listed = run(["dpkg-deb", "--ctrl-tarfile", package])
    files = run(["tar", "--extract", "--to-stdout", "./conffiles"], stdin=listed)
    assert files == b"/etc/pykexec/server.env\n"


def test_the_unit_and_what_it_needs_are_those_that_are_checked(
    package: Path, tmp_path: Path
) -> None:
    run(["dpkg-deb", "--extract", package, tmp_path])
    for name, source in {
        "systemd/system/pykexec-server.service": "pykexec-server.service",
        "sysusers.d/pykexec-server.conf": "sysusers.conf",
        "tmpfiles.d/pykexec-server.conf": "tmpfiles.conf",
    }.items():
        (found,) = tmp_path.glob(f"**/lib/{name}")
        assert found.read_bytes() == (ROOT / "packaging/systemd" / source).read_bytes()
    (unit,) = tmp_path.glob("**/pykexec-server.service")
    # With its own program, which is there.
    text = unit.read_text().replace("/usr/lib/pykexec", f"{tmp_path}/usr/lib/pykexec")
    unit.write_text(text)
    run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit])
    traces = run(["grep", "-rlF", str(ROOT), tmp_path], success=(0, 1)).decode().splitlines()
    assert [path for path in traces if path != str(unit)] == []


def test_nothing_in_it_is_anybodys_but_roots_or_for_all_to_write(
    members: dict[str, tarfile.TarInfo],
) -> None:
    assert {(info.uid, info.gid) for info in members.values()} == {(0, 0)}
    unsafe = [name for name, info in members.items() if info.mode & 0o6022 and not info.issym()]
    assert unsafe == []


def test_it_has_the_program_its_page_and_no_tools(members: dict[str, tarfile.TarInfo]) -> None:
    assert members["./usr/bin/pykexec"].linkname == "../lib/pykexec/bin/pykexec"
    assert "./usr/share/man/man1/pykexec.1.gz" in members
    assert [
        name
        for name in members
        if re.search(r"/(pip|setuptools|wheel)(/|-[\d.]+\.dist-info)", name)
    ] == []
    assert [name for name in members if name.endswith(".pyc")] == []
    programs = [name for name in members if name.startswith("./usr/lib/pykexec/bin/")]
    assert sorted(programs) == [
        "./usr/lib/pykexec/bin/pykexec",
        "./usr/lib/pykexec/bin/python3",
    ]
