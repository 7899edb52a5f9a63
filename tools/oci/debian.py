# SPDX-License-Identifier: Apache-2.0
"""Debian packages as the files of an image: unpacked, none of their scripts run.

What a script would have made is made here: accounts, certificates in one file, compiled modules.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pykexec.run import run

_TIMEOUT_S = 900.0
# For installing alone, by scripts that are not run here.
_TOOLS = ("dpkg", "tar")
# In the image without what they depend on: certificates, and which Debian it is.
_ALONE = ("base-files", "ca-certificates")
# What only people read; who may copy it stays.
_FOR_READERS = ("usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
_FOR_DPKG = ("usr/share/base-files", "usr/share/python3", "etc/cron.daily", "etc/update-motd.d")
MERGED = ("bin", "lib", "lib64", "sbin")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def runtime(server: Path) -> list[str]:
    """What the server's package depends on, but for what starts services and makes users."""
    words = run(["dpkg-deb", "--field", server, "Depends"]).decode()
    names = [re.split(r"[ (|]", word.strip())[0] for word in words.split(",")]
    return [name for name in names if not re.match(r"(systemd|ca-certificates)\b", name)]


def download(names: Sequence[str], into: Path) -> list[Path]:
    """These and all that they depend on, of this machine's release with its security updates, into
    a new directory; ToolError where apt does not have them.
    """
    (into / "partial").mkdir(parents=True)
    options = {
        # Nothing is installed in the image yet, and nothing here.
        "Dir::State::status": "/dev/null",
        "Dir::Cache::archives": into,
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "--quiet", *(f"--option={key}={value}" for key, value in options.items())]
    plan = ["--yes", "--no-install-recommends", "--download-only", "install"]
    run([*apt, *plan, *names], timeout_s=_TIMEOUT_S)
    run([*apt, "download", *_ALONE], cwd=into, timeout_s=_TIMEOUT_S)
    return sorted(path for path in into.glob("*.deb") if path.name.split("_")[0] not in _TOOLS)


def unpack(packages: Sequence[Path], root: Path) -> None:
    """Their files below root, as programs find them; what each package is in dpkg's status.d, where
    scanners look.
    """
    status = root / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        files = run(["dpkg-deb", "--fsys-tarfile", package], timeout_s=_TIMEOUT_S)
        run(["tar", "--extract", "--keep-directory-symlink", "--no-same-owner",
             "--directory", root], stdin=files, timeout_s=_TIMEOUT_S)  # fmt: skip
        fields = run(["dpkg-deb", "--field", package])
        (status / package.name.split("_")[0]).write_bytes(fields)
    for unread in (*_FOR_READERS, *_FOR_DPKG):
        shutil.rmtree(root / unread, ignore_errors=True)
    for path in root.glob("usr/share/doc/*/*"):
        if path.name != "copyright":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def settle(root: Path, user: int) -> None:
    """What scripts would have made: accounts, the authorities that the system trusts."""
    accounts = (
        f"root:x:0:0:root:/:/nonexistent\npykexec:x:{user}:{user}::/var/lib/pykexec:/nonexistent\n"
    )
    (root / "etc/passwd").write_text(accounts)
    (root / "etc/group").write_text(f"root:x:0:\npykexec:x:{user}:\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    bundle = root / CERTIFICATES
    bundle.parent.mkdir(parents=True, exist_ok=True)
    trusted = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle.write_text("".join(path.read_text() for path in trusted))
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def compile_modules(root: Path, python: str) -> None:
    """Compile what is below root; of the source, not of its time, so that it is the same each time.

    python is this machine's, of the same package as the image's.
    """
    words = ["-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    places = (path for path in (root / "usr/lib", root / "usr/share") if path.is_dir())
    run([f"/usr/bin/{python}", *words, "-s", root, "-p", "/", *places], timeout_s=_TIMEOUT_S)
