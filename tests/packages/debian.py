# SPDX-License-Identifier: Apache-2.0
"""Debians of a test's own: what they change lies over one that stays as it is. Needs root."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.run import run
from pykexec.vm import apt, packages

# For a server that starts while other tests have the machine.
START_S = 600.0
_TIMEOUT_S = 900.0
# sudo and systemctl as a page's commands call them: nobody but root is there, and no systemd runs.
_PRELUDE = """
set -eu
sudo() {
	if [ "$1" = -u ]; then
		local user=$2
		shift 2
		runuser -u "$user" -- "$@"
	else
		"$@"
	fi
}
systemctl() { echo "systemctl $*"; }
export HOME=/nonexistent LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive USER=root
"""
_MOUNTS = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged"
mount --rbind /dev "$2/merged/dev"
mount -t proc proc "$2/merged/proc"
echo ready
exec sleep infinity
"""


def bootstrap(into: Path, names: list[str]) -> None:
    """A minimal Debian of this machine's release with the packages names, and what they need."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    downloads = packages.cache_dir() / "hosts" / suite
    downloads.mkdir(parents=True, exist_ok=True)
    run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(names)}",
         f"--cache-dir={downloads}", suite, into, apt.archive()],
        timeout_s=_TIMEOUT_S,
    )  # fmt: skip
    into.chmod(0o755)
    (into / "etc/hosts").write_text("127.0.0.1 localhost\n")


@dataclass(frozen=True, slots=True)
class Debian:
    """One that is there; pid is a process in its namespaces, home has its files and changes.

    It shares the network.
    """

    home: Path
    pid: int

    def command(self, script: str) -> list[str]:
        """What runs a script of bash's there, as root, in /srv, where any file may be put."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid"]
        chroot = ["chroot", str(self.home / "merged"), "/bin/bash", "-c"]
        return [*enter, *chroot, f"{_PRELUDE}\ncd /srv\n{script}"]

    def run(self, script: str, stdin: str = "") -> str:
        """What it prints, errors too; AssertionError with that if it fails."""
        done = subprocess.run(
            self.command(f"exec 2>&1\n{script}"),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def put(self, path: Path, name: str) -> None:
        """A copy of a file, as /srv/NAME."""
        self.run(f'mkdir -p "$(dirname {name})"')
        with path.open("rb") as file:
            subprocess.run(self.command(f"cat > {name}"), stdin=file, check=True)


@contextmanager
def started(lower: Path, home: Path) -> Iterator[Debian]:
    """One over lower, whose changes are in the new directory home; its processes end with it."""
    for name in ("upper", "work", "merged"):
        (home / name).mkdir(parents=True)
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    process = subprocess.Popen(
        [*unshare, "bash", "-c", _MOUNTS, "bash", lower, home],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout and process.stdout.readline() == "ready\n"
            pid = process.pid
            (inner,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            yield Debian(home, int(inner))
        finally:
            process.kill()
