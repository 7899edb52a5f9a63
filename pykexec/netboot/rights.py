# SPDX-License-Identifier: Apache-2.0
"""With whose rights a boot server serves: never with root's.

What it gives away goes to anybody, so it reads as somebody who may read little: whom the files
belong to, or nobody.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import UsageError

_NOBODY = 65534  # the kernel's own (overflowuid), and Debian's
# capability.h: what DHCP and TFTP servers need to bind their ports and answer who has no address.
_CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


@dataclass(frozen=True, slots=True)
class Rights:
    """A user and a group, as numbers: not all of them have names."""

    user: int
    group: int

    def may_read(self, status: os.stat_result) -> bool:
        """Read a file, or look for one in a directory, with that status."""
        mode = stat.S_IXOTH if stat.S_ISDIR(status.st_mode) else stat.S_IROTH
        if status.st_uid == self.user:
            mode <<= 6
        elif status.st_gid == self.group:
            mode <<= 3
        return bool(status.st_mode & mode)


def rights_for(directory: Path) -> Rights | None:
    """Whose rights replace root's for what is in directory; None where there are none of root's."""
    if os.geteuid() != 0 or _in_user_namespace():
        return None
    status = directory.stat()
    user = status.st_uid or _NOBODY
    return Rights(user, status.st_gid if status.st_uid and status.st_gid else _NOBODY)


def check_readable(directory: Path, file: str) -> None:
    """Refuse with UsageError what could not be served once root's rights are given up."""
    rights = rights_for(directory)
    for path in (directory, directory / file) if rights else ():
        if rights and not rights.may_read(path.stat()):
            fault = f"may not be read by user {rights.user}, with whose rights it would be served"
            raise UsageError(f"{path}: {fault}")


def give_up_root(directory: Path) -> None:
    """End root's rights of this process, all of its threads, for good."""
    if rights := rights_for(directory):
        os.setgroups([])
        os.setresgid(rights.group, rights.group, rights.group)
        os.setresuid(rights.user, rights.user, rights.user)


def without_root(directory: Path) -> Iterator[str]:
    """Words in front of a DHCP and TFTP server: it ends with us, and may do what it needs to."""
    yield from ("setpriv", "--pdeathsig", "KILL")
    if rights := rights_for(directory):
        yield from ("--reuid", str(rights.user), "--regid", str(rights.group), "--clear-groups")
        names = (name.removeprefix("CAP_").lower() for name in _CAPABILITIES)
        kept = ",".join(["-all", *(f"+{name}" for name in names)])
        for kind in ("--bounding-set", "--inh-caps", "--ambient-caps"):
            yield from (kind, kept)
        yield "--no-new-privs"
    yield "--"


def missing_capabilities(status: str) -> list[str]:
    """Of what DHCP and TFTP need, what proc_pid_status(5) does not list as effective."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _in_user_namespace() -> bool:
    """Of an ordinary user (user_namespaces(7)): root by name alone, and nobody else is there."""
    try:
        return Path("/proc/self/setgroups").read_text().strip() == "deny"
    except FileNotFoundError:
        return False
