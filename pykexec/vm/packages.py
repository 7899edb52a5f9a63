# SPDX-License-Identifier: Apache-2.0
"""Debian packages of several releases, downloaded and unpacked without installing them.

A private apt configuration beside the cache is derived from the system's own
sources (same archive, same keys), so the machine's package state is not touched.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run

log = logging.getLogger(__name__)

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Package:
    """One binary package of one Debian release."""

    suite: str
    name: str


BOOKWORM, BACKPORTS, TRIXIE = "bookworm", "bookworm-backports", "trixie"

# Metapackages stand for the kernel of the day: see fetch_kernel().
KERNELS = {
    "6.1-cloud": Package(BOOKWORM, "linux-image-cloud-amd64"),
    "6.1-generic": Package(BOOKWORM, "linux-image-amd64"),
    "6.12-cloud": Package(BACKPORTS, "linux-image-cloud-amd64"),
    "6.12-generic": Package(BACKPORTS, "linux-image-amd64"),
}
SOURCES = {
    "6.1": Package(BOOKWORM, "linux-source-6.1"),
    "6.12": Package(BACKPORTS, "linux-source-6.12"),
}
FIRMWARES = {
    "2022.11": Package(BOOKWORM, "ovmf"),
    "2025.02": Package(TRIXIE, "ovmf"),
}
PAYLOADS = {
    "grub-2.06-modules": Package(BOOKWORM, "grub-efi-amd64-bin"),
    "grub-2.12-modules": Package(TRIXIE, "grub-efi-amd64-bin"),
    "grub-2.06-signed": Package(BOOKWORM, "grub-efi-amd64-signed"),
    "grub-2.12-signed": Package(TRIXIE, "grub-efi-amd64-signed"),
    "grub-tools": Package(BOOKWORM, "grub-common"),
    "shim": Package(BOOKWORM, "shim-signed"),
    "shim-helpers": Package(BOOKWORM, "shim-helpers-amd64-signed"),
    "systemd-boot-252": Package(BOOKWORM, "systemd-boot-efi"),
    "systemd-boot-257": Package(TRIXIE, "systemd-boot-efi"),
    "efi-shell": Package(TRIXIE, "efi-shell-x64"),
    "ipxe": Package(TRIXIE, "ipxe"),
    "refind-0.13": Package(BOOKWORM, "refind"),
    "refind-0.14": Package(TRIXIE, "refind"),
    "memtest86+-6": Package(BOOKWORM, "memtest86+"),
    "memtest86+-7": Package(TRIXIE, "memtest86+"),
    "xen-4.17": Package(BOOKWORM, "xen-hypervisor-4.17-amd64"),
    "xen-4.20": Package(TRIXIE, "xen-hypervisor-4.20-amd64"),
    "ukify": Package(TRIXIE, "systemd-ukify"),
}


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
                _download(suite, [package.name for package in missing])
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


def fetch_for_demo() -> None:
    """Download what `pykexec demo` uses."""
    payloads = ("grub-2.06-signed", "grub-2.12-modules", "grub-tools")
    fetch_all([FIRMWARES["2025.02"], *(PAYLOADS[name] for name in payloads)])
    fetch_kernel("6.1-cloud")


def fetch_for_tests() -> None:
    """Download everything that is named here."""
    fetch_all([*FIRMWARES.values(), *PAYLOADS.values(), *KERNELS.values()])
    fetch_kernels(KERNELS)


def _image_of(meta: Package) -> Package:
    control = (fetch(meta) / "DEBIAN" / "control").read_text()
    for line in control.splitlines():
        if line.startswith("Depends: linux-image-"):
            return Package(meta.suite, line.split()[1].rstrip(","))
    raise ToolError(f"{meta.name} of {meta.suite}: names no kernel image")


def _unpacked_dir(suite: str) -> Path:
    return cache_dir() / "packages" / suite


def _cached(package: Package) -> Path | None:
    matches = sorted(_unpacked_dir(package.suite).glob(f"{package.name}_*"))
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


def _download(suite: str, names: list[str]) -> None:
    apt = _apt(suite)
    downloads = cache_dir() / "apt" / suite / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    log.info("downloading from %s: %s", suite, " ".join(names))
    try:
        run(["apt-get", *apt, "--quiet", "update"], timeout_s=_TIMEOUT_S)
        run(["apt-get", *apt, "--quiet", "download", *names], cwd=downloads, timeout_s=_TIMEOUT_S)
    except ToolError as error:
        raise ToolError(f"{suite}: cannot download {' '.join(names)}: {error}") from error
    for deb in sorted(downloads.glob("*.deb")):
        _unpack(deb, _unpacked_dir(suite))
    shutil.rmtree(downloads)


def _unpack(deb: Path, into: Path) -> None:
    """Whoever finds the directory finds it complete: it gets its name last."""
    name, version, _arch = deb.stem.split("_")
    partial = into / f".partial-{name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    run(["dpkg-deb", "--extract", deb, partial], timeout_s=_TIMEOUT_S)
    run(["dpkg-deb", "--control", deb, partial / "DEBIAN"], timeout_s=_TIMEOUT_S)
    partial.rename(into / f"{name}_{version}")


def _apt(suite: str) -> list[str]:
    """Options that give apt its own state, cache and a single source."""
    home = cache_dir() / "apt" / suite
    for name in ("lists/partial", "cache/archives/partial"):
        (home / name).mkdir(parents=True, exist_ok=True)
    sources = home / "sources.list"
    sources.write_text(f"deb [arch=amd64 signed-by={_KEYRING}] {_archive()} {suite} main\n")
    options = {
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "APT::Default-Release": "",
        "Acquire::Retries": "3",
        "Acquire::Languages": "none",
        "Dir::State": home,
        "Dir::State::lists": home / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": home / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def _archive() -> str:
    """The URI of the Debian archive that this system uses."""
    listing = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"])
    for line in listing.decode().splitlines():
        release, component, uri = line.split(" ", 2)
        if release in (BOOKWORM, TRIXIE, "stable") and component == "main":
            return uri
    raise ToolError(
        "apt knows no Debian bookworm archive: check its sources and run `apt-get update`"
    )
