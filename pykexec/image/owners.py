# SPDX-License-Identifier: Apache-2.0
"""Which package of this machine a file came with: Debian's, as far as dpkg knows, or Python's."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packageurl import PackageURL

from pykexec.run import run

_FIELDS = (
    "binary:Package",
    "Package",
    "Version",
    "Architecture",
    "source:Package",
    "source:Version",
    "Maintainer",
)
_SPDX = {"Expat": "MIT", "PSF-2": "PSF-2.0", "zlib": "Zlib"}
_COPYRIGHT_IS_PROSE = (
    ("busybox", "GPL-2.0-only"),
    ("gcc-", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    ("glibc", "LGPL-2.1-or-later"),
    ("python3.", "PSF-2.0"),
)
"""Source packages (how their names start) whose copyright files no program can read."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A package, in the words of its package URL; what is not known is ""."""

    kind: str
    """deb or pypi."""
    namespace: str
    name: str
    version: str
    qualifiers: tuple[tuple[str, str], ...]
    supplier: str
    licence: str
    """An SPDX expression, or else what the package calls it."""

    @property
    def purl(self) -> PackageURL:
        """The package URL, by which vulnerability databases are asked."""
        qualifiers = dict(self.qualifiers)
        return PackageURL(self.kind, self.namespace, self.name, self.version, qualifiers)


def owners(paths: Iterable[Path]) -> dict[Path, Owner]:
    """The packages that own paths; a file that no package owns is left out."""
    wanted = sorted(set(paths))
    found = _debian(wanted)
    return found | _python([path for path in wanted if path not in found])


def _debian(paths: list[Path]) -> dict[Path, Owner]:
    if not paths or not shutil.which("dpkg-query"):
        return {}
    spelt = {path: tuple(_spellings(path)) for path in paths}
    names = sorted({name for spellings in spelt.values() for name in spellings})
    patterns = [re.sub(r"([*?\[\\])", r"\\\1", name) for name in names]
    # 1: some are not found.
    listing = run(["dpkg-query", "--search", "--", *patterns], success=(0, 1), env={"LC_ALL": "C"})
    packages: dict[str, str] = {}
    for line in listing.decode().splitlines():
        package, _, name = line.partition(": ")
        if not package.startswith("diversion by "):
            packages.setdefault(name, package.partition(",")[0])
    known = _packages(sorted(set(packages.values())))
    return {
        path: known[packages[name]]
        for path, spellings in spelt.items()
        for name in spellings
        if name in packages
    }


def _spellings(path: Path) -> Iterator[str]:
    """Where /lib and /usr/lib are one directory, dpkg knows files by either name."""
    real = os.path.realpath(path)
    yield real
    if real.startswith("/usr/"):
        yield real.removeprefix("/usr")


def _packages(names: list[str]) -> dict[str, Owner]:
    if not names:
        return {}
    form = "\t".join(f"${{{field}}}" for field in _FIELDS) + "\n"
    release = platform.freedesktop_os_release()
    distro = f"{release['ID']}-{release.get('VERSION_ID', release.get('VERSION_CODENAME', ''))}"
    found: dict[str, Owner] = {}
    for line in run(["dpkg-query", "--show", f"--showformat={form}", *names]).decode().splitlines():
        key, name, version, architecture, source, source_version, supplier = line.split("\t")
        upstream = source if source_version == version else f"{source}@{source_version}"
        qualifiers = (("arch", architecture), ("distro", distro), ("upstream", upstream))
        licence = _debian_licence(name, source)
        owner = Owner("deb", release["ID"], name, version, qualifiers, supplier, licence)
        found[key] = owner
    return found


def _debian_licence(name: str, source: str) -> str:
    """What the package's copyright file says of "Files: *" (Debian's machine-readable format)."""
    for start, licence in _COPYRIGHT_IS_PROSE:
        if source.startswith(start):
            return licence
    try:
        text = Path("/usr/share/doc", name, "copyright").read_text(errors="replace")
    except OSError:
        return ""
    for paragraph in re.split(r"\n\s*\n", text):
        if re.search(r"^Files:\s*\*\s*$", paragraph, re.MULTILINE):
            said = re.search(r"^License:[ \t]*(\S.*)$", paragraph, re.MULTILINE)
            return spdx(said[1].strip()) if said else ""
    return ""


def spdx(name: str) -> str:
    """Debian's short name of a licence as SPDX has it."""
    gnu = re.fullmatch(r"(L?GPL)-(\d)(\.\d)?(\+?)", name)
    if gnu:
        kind, major, minor, later = gnu.groups()
        return f"{kind}-{major}{minor or '.0'}-{'or-later' if later else 'only'}"
    return _SPDX.get(name, name)


def _python(paths: list[Path]) -> dict[Path, Owner]:
    if not paths:
        return {}
    names = {path.name for path in paths}
    found = {}
    for distribution in importlib.metadata.distributions():
        named = [file for file in distribution.files or () if file.name in names]
        theirs = {os.path.realpath(str(file.locate())) for file in named}
        for path in paths:
            if os.path.realpath(path) in theirs:
                found[path] = _distribution(distribution)
    return found


def _distribution(distribution: importlib.metadata.Distribution) -> Owner:
    said = distribution.metadata.json
    name = re.sub(r"[-_.]+", "-", str(said["name"])).lower()
    licence = str(said.get("license_expression") or said.get("license") or "")
    supplier = str(said.get("author") or said.get("maintainer") or "")
    return Owner("pypi", "", name, distribution.version, (), supplier, licence)
