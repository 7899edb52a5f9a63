# SPDX-License-Identifier: Apache-2.0
"""Debian packages of several releases, downloaded and unpacked without installing them."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm.apt import Apt

log = logging.getLogger(__name__)

_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Package:
    """One binary package of one Debian release.

    whole: together with all that it depends on, so that its programs run from where they lie:
    tools.command().
    """

    suite: str
    name: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class SourceArchive:
    """An archive (tar) inside the source of a package: its path there, and its SHA-256."""

    suite: str
    source: str
    path: str
    sha256: str


BOOKWORM, BACKPORTS, TRIXIE = "bookworm", "bookworm-backports", "trixie"
# What Debian has today: a version is gone from the archive when the next one comes.
SID = "sid"

# Metapackages stand for the kernel of the day: see fetch_kernel().
KERNELS = {
    "6.1-cloud": Package(BOOKWORM, "linux-image-cloud-amd64"),
    "6.1-generic": Package(BOOKWORM, "linux-image-amd64"),
    "6.1-rt": Package(BOOKWORM, "linux-image-rt-amd64"),
    "6.12-cloud": Package(BACKPORTS, "linux-image-cloud-amd64"),
    "6.12-generic": Package(BACKPORTS, "linux-image-amd64"),
    "6.12-rt": Package(BACKPORTS, "linux-image-rt-amd64"),
    "trixie-cloud": Package(TRIXIE, "linux-image-cloud-amd64"),
    "trixie-generic": Package(TRIXIE, "linux-image-amd64"),
    "trixie-rt": Package(TRIXIE, "linux-image-rt-amd64"),
    "sid-cloud": Package(SID, "linux-image-cloud-amd64"),
    "sid-generic": Package(SID, "linux-image-amd64"),
    "sid-rt": Package(SID, "linux-image-rt-amd64"),
}
# Large, and booted by the matrix alone.
_KERNELS_OF_MATRIX = ("6.1-rt", "6.12-rt", "trixie-cloud", "trixie-generic", "trixie-rt")
SOURCES = {
    "6.1": Package(BOOKWORM, "linux-source-6.1"),
    "6.12": Package(BACKPORTS, "linux-source-6.12"),
}
FIRMWARES = {
    "2022.11": Package(BOOKWORM, "ovmf"),
    "2025.02": Package(TRIXIE, "ovmf"),
    "sid": Package(SID, "ovmf-generic"),
}
# UEFI by another name, without interrupts.
U_BOOT = Package(TRIXIE, "u-boot-qemu")
PAYLOADS = {
    "grub-2.06-modules": Package(BOOKWORM, "grub-efi-amd64-bin"),
    "grub-2.12-modules": Package(TRIXIE, "grub-efi-amd64-bin"),
    "grub-sid-modules": Package(SID, "grub-efi-amd64-bin"),
    "grub-2.06-signed": Package(BOOKWORM, "grub-efi-amd64-signed"),
    "grub-2.12-signed": Package(TRIXIE, "grub-efi-amd64-signed"),
    "grub-sid-signed": Package(SID, "grub-efi-amd64-signed"),
    "shim": Package(BOOKWORM, "shim-signed"),
    "shim-helpers": Package(BOOKWORM, "shim-helpers-amd64-signed"),
    "systemd-boot-252": Package(BOOKWORM, "systemd-boot-efi"),
    "systemd-boot-257": Package(TRIXIE, "systemd-boot-efi"),
    "systemd-boot-sid": Package(SID, "systemd-boot-efi"),
    "efi-shell": Package(TRIXIE, "efi-shell-x64"),
    "efi-shell-sid": Package(SID, "efi-shell-x64"),
    "ipxe": Package(TRIXIE, "ipxe"),
    "ipxe-sid": Package(SID, "ipxe"),
    "refind-0.13": Package(BOOKWORM, "refind"),
    "refind-0.14": Package(TRIXIE, "refind"),
    "memtest86+-6": Package(BOOKWORM, "memtest86+"),
    "memtest86+-7": Package(TRIXIE, "memtest86+"),
    "memtest86+-sid": Package(SID, "memtest86+"),
    "xen-4.17": Package(BOOKWORM, "xen-hypervisor-4.17-amd64"),
    "xen-4.20": Package(TRIXIE, "xen-hypervisor-4.20-amd64"),
    "ukify": Package(TRIXIE, "systemd-ukify"),
}
# Programs of other releases than this system's: tools.command().
GRUB_TOOLS = {
    "2.06": Package(BOOKWORM, "grub-common", whole=True),
    "2.12": Package(TRIXIE, "grub-common", whole=True),
    "sid": Package(SID, "grub-common", whole=True),
}
QEMUS = {
    "10": Package(TRIXIE, "qemu-system-x86", whole=True),
    "sid": Package(SID, "qemu-system-x86", whole=True),
}
XENS = {name: PAYLOADS[f"xen-{name}"] for name in ("4.17", "4.20")}
# dom0's programs; those of a release go with its hypervisor.
XEN_UTILS = {
    "4.17": Package(BOOKWORM, "xen-utils-4.17", whole=True),
}
# Volumes as Windows made them, with their startup keys.
BITLOCKER_IMAGES = SourceArchive(
    BOOKWORM,
    "cryptsetup",
    "tests/bitlk-images.tar.xz",
    "cd5cacb825ac339f450000c8c45b26ee7d2747afd85432b3c1ea5c7da314963e",
)
# promtool, which knows what an alert rule is.
PROMETHEUS = Package(BOOKWORM, "prometheus")
_FOR_TESTS = (
    *XEN_UTILS.values(),
    *KERNELS.values(),
    *FIRMWARES.values(),
    *PAYLOADS.values(),
    *GRUB_TOOLS.values(),
)
_FOR_MATRIX = (*_FOR_TESTS, *QEMUS.values(), U_BOOT)


def cache_dir() -> Path:
    """Where downloads are kept: $PYKEXEC_CACHE, else .cache in the current directory."""
    return Path(os.environ.get("PYKEXEC_CACHE", ".cache")).absolute()


def fetch(package: Package) -> Path:
    """The directory that package is unpacked in; downloaded when it is not there yet."""
    return fetch_all([package])[package]


def fetch_all(packages: Iterable[Package]) -> dict[Package, Path]:
    """Unpack packages into the cache, one download a suite; ToolError if one cannot be had."""
    wanted = list(dict.fromkeys(packages))
    found = {package: path for package in wanted if (path := _cached(package))}
    if len(found) == len(wanted):
        return found
    with _locked():
        for suite in dict.fromkeys(package.suite for package in wanted):
            missing = [p for p in wanted if p.suite == suite and not _cached(p)]
            if missing:
                apt = _apt(suite)
                apt.update()
                _download(apt, missing)
    return {package: _cached_or_error(package) for package in wanted}


def fetch_kernel(name: str) -> Path:
    """The directory of the image package that the metapackage KERNELS[name] depends on."""
    return fetch_kernels([name])[name]


def fetch_kernels(names: Iterable[str]) -> dict[str, Path]:
    """Like fetch_kernel() for several, with all downloads at once."""
    names = list(names)
    fetch_all(KERNELS[name] for name in names)
    images = {name: _image_of(KERNELS[name]) for name in names}
    paths = fetch_all(images.values())
    return {name: paths[image] for name, image in images.items()}


def fetch_archive(archive: SourceArchive) -> Path:
    """The directory that an archive of a source is unpacked in, downloaded when it is not there
    yet; ToolError where it is another than it was.
    """
    home = cache_dir() / "sources" / archive.sha256
    if home.exists():
        return home
    with _locked(), tempfile.TemporaryDirectory(dir=cache_dir()) as name:
        if not home.exists():
            apt = Apt(archive.suite, cache_dir() / "apt" / f"{archive.suite}-sources", "deb-src")
            apt.update()
            source = apt.download_source(archive.source, Path(name, "source"))
            run(["tar", "--extract", "--file", source, "--strip-components=1", "--wildcards",
                 "--directory", name, f"*/{archive.path}"], timeout_s=_TIMEOUT_S)  # fmt: skip
            _unpack_archive(archive, Path(name, archive.path), Path(name, "unpacked"))
            home.parent.mkdir(exist_ok=True)
            Path(name, "unpacked").rename(home)
    return home


def _unpack_archive(archive: SourceArchive, path: Path, into: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != archive.sha256:
        raise ToolError(f"{archive.source}: {archive.path} has SHA-256 {digest}")
    into.mkdir()
    run(["tar", "--extract", "--file", path, "--directory", into], timeout_s=_TIMEOUT_S)


def fetch_for_units() -> None:
    """Download what tests without a machine need."""
    fetch_all([PROMETHEUS, *XENS.values(), *XEN_UTILS.values()])
    fetch_archive(BITLOCKER_IMAGES)


def fetch_for_demo() -> None:
    """Download what `pykexec demo` uses."""
    payloads = [PAYLOADS["grub-2.06-signed"], PAYLOADS["grub-2.12-modules"]]
    fetch_all([FIRMWARES["2025.02"], GRUB_TOOLS["2.12"], *payloads])
    fetch_kernel("6.1-cloud")


def fetch_for_windows() -> None:
    """Download what `pykexec demo --windows` uses."""
    fetch(FIRMWARES["2025.02"])
    fetch_kernel("6.1-cloud")
    fetch_archive(BITLOCKER_IMAGES)


def fetch_for_tests() -> None:
    """Download what is named here and does not change, but for the other releases' QEMU."""
    fetch_all(package for package in _FOR_TESTS if package.suite != SID)
    fetch_kernels(name for name in _released() if name not in _KERNELS_OF_MATRIX)


def fetch_for_matrix() -> None:
    """Download all that is named here; what sid has today replaces what it had on another day."""
    fetch_for_tests()
    fetch_kernels(_released())
    fetch_all(package for package in _FOR_MATRIX if package.suite != SID)
    renew([package for package in _FOR_MATRIX if package.suite == SID])
    kernels = fetch_kernels(name for name, package in KERNELS.items() if package.suite == SID)
    for old in _home(Package(SID, "")).glob("linux-image-[0-9]*"):
        if old not in kernels.values():
            shutil.rmtree(old)


def _released() -> list[str]:
    """The names of kernels that do not change from day to day."""
    return [name for name, package in KERNELS.items() if package.suite != SID]


def renew(packages: Iterable[Package]) -> None:
    """Replace those of packages, all of one suite, that it has newer.

    Where the archive cannot be reached what is there must do; ToolError if one is not there.
    """
    packages = list(packages)
    suite = packages[0].suite
    try:
        with _locked():
            apt = _apt(suite)
            apt.update()
            stems = apt.candidates({package.name for package in packages})
            current = {package: _home(package) / stems[package.name] for package in packages}
            _download(apt, [package for package, path in current.items() if not path.exists()])
            for package, path in current.items():
                for old in set(_home(package).glob(f"{package.name}_*")) - {path}:
                    shutil.rmtree(old)
    except ToolError as error:
        if not all(map(_cached, packages)):
            raise
        log.warning("what is there of %s must do: %s", suite, error)


def version(package: Package) -> str:
    """Upstream's version of package, "7.2.13"; of one that is not there its suite's name."""
    path = _cached(package)
    words = re.search(r"_(?:\d+%3a)?([\d.]*\d)", path.name) if path else None
    return words[1] if words else package.suite


def _image_of(meta: Package) -> Package:
    control = (fetch(meta) / "DEBIAN" / "control").read_text()
    image = re.search(r"^Depends:.*?\b(linux-image-\d[^ ,]*)", control, re.MULTILINE)
    if image is None:
        raise ToolError(f"{meta.name} of {meta.suite}: names no kernel image")
    return Package(meta.suite, image[1])


def _home(package: Package) -> Path:
    """Where the directories of such packages are."""
    return cache_dir() / "packages" / (package.suite + "-whole" * package.whole)


def _cached(package: Package) -> Path | None:
    matches = sorted(_home(package).glob(f"{package.name}_*"))
    return matches[-1] if matches else None


def _cached_or_error(package: Package) -> Path:
    path = _cached(package)
    if path is None:
        raise ToolError(f"{package.name} of {package.suite}: downloaded but not unpacked")
    return path


@contextmanager
def _locked() -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / "packages.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apt(suite: str) -> Apt:
    return Apt(suite, cache_dir() / "apt" / suite)


def _download(apt: Apt, packages: list[Package]) -> None:
    names = [package.name for package in packages]
    log.info("downloading from %s: %s", apt.suite, " ".join(names))
    try:
        with tempfile.TemporaryDirectory(dir=cache_dir()) as name:
            alone = [package.name for package in packages if not package.whole]
            for deb in apt.download(alone, Path(name, "alone")):
                package = Package(apt.suite, deb.name.split("_")[0])
                _unpack(package, deb, _parts(apt, deb, Path(name, "parts")))
            for package in packages:
                if package.whole:
                    debs = apt.download_whole(package.name, Path(name, package.name))
                    first = next(deb for deb in debs if deb.name.startswith(f"{package.name}_"))
                    _unpack(package, first, debs)
    except ToolError as error:
        raise ToolError(f"{apt.suite}: cannot download {' '.join(names)}: {error}") from error


def _parts(apt: Apt, deb: Path, into: Path) -> list[Path]:
    """Where Debian splits a kernel into packages (7.2 does): what deb, its image, is without."""
    if not re.match(r"linux-image-\d", deb.name):
        return []
    release = deb.name.split("_")[0].removeprefix("linux-image-")
    depends = run(["dpkg-deb", "--field", deb, "Depends"]).decode()
    names = re.findall(rf"linux-[a-z]+-{re.escape(release)}", depends)
    return apt.download(names, into / release)


def _unpack(package: Package, deb: Path, more: list[Path]) -> None:
    """Whoever finds the directory finds it complete: it gets its name last."""
    partial = _home(package) / f".partial-{package.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for each in (*more, deb):
        run(["dpkg-deb", "--extract", each, partial], timeout_s=_TIMEOUT_S)
    run(["dpkg-deb", "--control", deb, partial / "DEBIAN"], timeout_s=_TIMEOUT_S)
    partial.rename(_home(package) / deb.stem.rsplit("_", 1)[0])
