# SPDX-License-Identifier: Apache-2.0
"""apt for other releases of Debian than this machine has.

A private configuration beside the cache is derived from the system's own sources (same archive,
same keys), so the machine's package state is not touched and nobody needs to be root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT_S = 900.0


def archive() -> str:
    """The URI of the Debian archive that this system uses; ToolError if it uses none."""
    words = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    for line in run(["apt-get", "indextargets", "--format", words]).decode().splitlines():
        origin, label, component, uri = line.split("|", 3)
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return uri
    raise ToolError("apt knows no archive of Debian: check its sources and run `apt-get update`")


class Apt:
    """One suite of the archive, of packages or of their sources; its lists and settings are kept in
    home.
    """

    def __init__(self, suite: str, home: Path, kind: str = "deb") -> None:
        self.suite = suite
        self._configuration = _configuration(suite, home, kind)

    def update(self) -> None:
        """Bring the lists up to date; where the archive cannot be reached they stay as they are."""
        self._get("update")

    def candidates(self, names: Iterable[str]) -> dict[str, str]:
        """For each name "name_version" as its file is called now; ToolError if there is none."""
        lines = self._get("--print-uris", "download", *names).decode().splitlines()
        stems = [line.split()[1].rsplit("_", 1)[0] for line in lines if line.startswith("'")]
        return {stem.split("_")[0]: stem for stem in stems}

    def download(self, names: Sequence[str], into: Path) -> list[Path]:
        """The package files of names, in the new directory into."""
        into.mkdir(parents=True)
        if names:
            self._get("download", *names, cwd=into)
        return sorted(into.glob("*.deb"))

    def download_whole(self, name: str, into: Path) -> list[Path]:
        """The package files of name and of all that it depends on, in the new directory into."""
        (into / "partial").mkdir(parents=True)
        # Nothing is installed: there is nothing to lock.
        words = ["-o", f"Dir::Cache::archives={into}", "-o", "Debug::NoLocking=true"]
        self._get(*words, "--yes", "--no-install-recommends", "--download-only", "install", name)
        return sorted(into.glob("*.deb"))

    def download_source(self, name: str, into: Path) -> Path:
        """Upstream's archive of name, in the new directory into, of an Apt for "deb-src"."""
        into.mkdir(parents=True)
        self._get("source", "--download-only", "--tar-only", name, cwd=into)
        found = sorted(into.glob(f"{name}_*.orig.tar.*"))
        if not found:
            raise ToolError(f"{self.suite}: the source of {name} has no archive of upstream's")
        return found[0]

    def _get(self, *words: str, cwd: Path | None = None) -> bytes:
        command = ["apt-get", f"--config-file={self._configuration}", "--quiet", *words]
        return run(command, cwd=cwd, timeout_s=_TIMEOUT_S)


def _configuration(suite: str, home: Path, kind: str) -> Path:
    """A file that gives apt its own state, cache and a single source."""
    for name in ("lists/partial", "cache/archives/partial"):
        (home / name).mkdir(parents=True, exist_ok=True)
    sources, file = home / "sources.list", home / "apt.conf"
    sources.write_text(f"{kind} [arch=amd64 signed-by={_KEYRING}] {archive()} {suite} main\n")
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
    file.write_text("".join(f'{key} "{value}";\n' for key, value in options.items()))
    return file
