# SPDX-License-Identifier: Apache-2.0
"""Debian packages unpacked into the cache, from an archive of a few that a script plays."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm import apt, packages
from pykexec.vm.packages import Package

# apt-get as far as it is asked: what it may download are the files of $POOL.
APT_GET = """\
#!/bin/bash
for word; do
	shift
	case "$word" in
	indextargets) cat "$POOL/targets"; exit ;;
	update) exit ;;
	--print-uris) uris=1 ;;
	Dir::Cache::archives=*) archives=${word#*=} ;;
	download | install) verb=$word; break ;;
	source) shift; cp "$POOL/${!#}"_*.orig.tar.* .; exit ;;
	esac
done
for name; do
	files=("$POOL/$name"_*.deb)
	[ -e "${files[0]}" ] || { echo "E: Unable to locate package $name" >&2; exit 100; }
	[ -z "$uris" ] || { echo "'file:$files' ${files##*/} 0"; continue; }
	[ "$verb" = install ] || cp "${files[0]}" .
done
[ -z "$archives" ] || cp "$POOL"/*.deb "$archives"
"""
KERNEL = Package("sid", "linux-image-cloud-amd64")
DEBIAN = "Debian|Debian-Security|main|http://security\nDebian|Debian|main|http://archive\n"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive's directory; apt-get and the cache are the test's own."""
    directory, programs = tmp_path / "pool", tmp_path / "bin"
    directory.mkdir()
    programs.mkdir()
    (directory / "targets").write_text(DEBIAN)
    (programs / "apt-get").write_text(APT_GET)
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("POOL", str(directory))
    monkeypatch.setenv("PYKEXEC_CACHE", str(tmp_path / "cache"))
    return directory


def publish(pool: Path, name: str, version: str, file: str, depends: str = "") -> None:
    """Put a package with one file, which has its version in it, in the place of its older ones."""
    for old in pool.glob(f"{name}_*"):
        old.unlink()
    tree = pool.parent / "tree" / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@b>\n"
    control += f"Description: a test\n{depends and f'Depends: {depends}'}\n"
    (tree / "DEBIAN/control").write_text(control)
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(version)
    deb = pool / f"{name}_{version.replace(':', '%3a')}_all.deb"
    run(["dpkg-deb", "--build", "--root-owner-group", tree, deb])


def test_the_archive_is_debians_own_and_not_its_security_updates(pool: Path) -> None:
    assert apt.archive() == "http://archive"


def test_a_system_that_is_not_debian_is_told_in_a_line(pool: Path) -> None:
    (pool / "targets").write_text("Ubuntu|Ubuntu|main|http://other\n")
    with pytest.raises(ToolError, match=r"^apt knows no archive of Debian: .*$"):
        packages.fetch(Package("sid", "a"))


def test_a_version_of_another_day_is_replaced(pool: Path) -> None:
    package = Package("sid", "a")
    publish(pool, "a", "1:2.0+ds-1", "usr/a")
    old = packages.fetch(package)
    publish(pool, "a", "1:10.1-1", "usr/a")
    assert packages.fetch(package) == old
    packages.renew([package])
    assert (packages.fetch(package) / "usr/a").read_text() == "1:10.1-1"
    assert not old.exists()
    assert packages.version(package) == "10.1"


def test_what_is_there_does_when_the_archive_is_out_of_reach(pool: Path) -> None:
    package = Package("sid", "a")
    publish(pool, "a", "1.0-1", "usr/a")
    path = packages.fetch(package)
    next(pool.glob("a_*")).unlink()
    packages.renew([package])
    assert packages.fetch(package) == path
    with pytest.raises(ToolError, match="Unable to locate package"):
        packages.renew([package, Package("sid", "b")])


def publish_kernel(pool: Path, version: str) -> str:
    """A metapackage and its kernel, which is in parts as Debian has it; the release."""
    release, exactly = f"{version}+deb14-cloud-amd64", f"(= {version}-1)"
    needs = f"linux-base-cloud-amd64 {exactly}, linux-image-{release} {exactly}"
    publish(pool, KERNEL.name, f"{version}-1", "usr/meta", needs)
    needs = f"dracut | linux-initramfs-tool, linux-binary-{release} {exactly}"
    publish(pool, f"linux-image-{release}", f"{version}-1", "usr/image", needs)
    file = f"usr/lib/modules/{release}/vmlinuz"
    publish(pool, f"linux-binary-{release}", f"{version}-1", file)
    return release


def test_a_kernel_is_whole_whatever_it_is_split_into(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(packages.KERNELS, "test", KERNEL)
    release = publish_kernel(pool, "7.2.1")
    root = packages.fetch_kernel("test")
    assert (root / f"usr/lib/modules/{release}/vmlinuz").read_text() == "7.2.1-1"
    assert (root / "usr/image").exists()


def test_the_kernel_of_another_day_is_replaced(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "KERNELS", {"test": KERNEL})
    monkeypatch.setattr(packages, "_FOR_TESTS", ())
    monkeypatch.setattr(packages, "_FOR_MATRIX", (KERNEL,))
    publish_kernel(pool, "7.2.1")
    packages.fetch_for_matrix()
    release = publish_kernel(pool, "7.3.1")
    packages.fetch_for_matrix()
    found = packages.fetch(KERNEL).parent.glob("linux-image-*")
    assert sorted(path.name for path in found) == [
        f"linux-image-{release}_7.3.1-1",
        "linux-image-cloud-amd64_7.3.1-1",
    ]


def test_a_program_comes_with_what_it_needs(pool: Path) -> None:
    publish(pool, "a", "1.0-1", "usr/bin/a")
    publish(pool, "liba", "3.0-1", "usr/lib/liba.so")
    root = packages.fetch(Package("trixie", "a", whole=True))
    assert (root / "usr/bin/a").read_text() == "1.0-1"
    assert (root / "usr/lib/liba.so").read_text() == "3.0-1"


def publish_source(pool: Path, content: str) -> packages.SourceArchive:
    """A source whose archive has an archive in it with one file; what it is called."""
    tree = pool.parent / "source"
    (tree / "a-1.0/tests").mkdir(parents=True, exist_ok=True)
    (tree / "images").mkdir(exist_ok=True)
    (tree / "images/one").write_text(content)
    inner = tree / "a-1.0/tests/images.tar.xz"
    run(["tar", "--create", "--xz", "--file", inner, "--directory", tree, "images"])
    outer = pool / "a_1.0.orig.tar.gz"
    run(["tar", "--create", "--gzip", "--file", outer, "--directory", tree, "a-1.0"])
    digest = hashlib.sha256(inner.read_bytes()).hexdigest()
    return packages.SourceArchive("bookworm", "a", "tests/images.tar.xz", digest)


def test_an_archive_of_a_source_is_the_one_that_it_was(pool: Path) -> None:
    archive = publish_source(pool, "as it was")
    home = packages.fetch_archive(archive)
    assert (home / "images/one").read_text() == "as it was"
    (pool / "a_1.0.orig.tar.gz").unlink()
    assert packages.fetch_archive(archive) == home


def test_an_archive_of_a_source_that_changed_is_refused(pool: Path) -> None:
    archive = publish_source(pool, "as it was")
    publish_source(pool, "another")
    with pytest.raises(ToolError, match=r"^a: tests/images.tar.xz has SHA-256 [0-9a-f]{64}$"):
        packages.fetch_archive(archive)
