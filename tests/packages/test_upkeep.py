# SPDX-License-Identifier: Apache-2.0
"""Upgrade, removal and purge: what an operator has made is there afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.run import run
from tests.packages.debian import Debian

LIBRARY = "usr/lib/pykexec/lib"
INIT = """
runuser -u pykexec -- pykexec server init --database sqlite:////var/lib/pykexec/store.db \
    --master-key file:/etc/pykexec/master.key --password-file - <<<"correct horse battery staple"
"""
CHECK = """
runuser -u pykexec -- pykexec server check-audit --database sqlite:////var/lib/pykexec/store.db \
    --master-key file:/etc/pykexec/master.key
"""
OWN = "find /etc/pykexec /var/lib/pykexec -printf '%p %M %u %g\\n' | sort"
# But for what dpkg, apt and systemd write down, and the user, who stays.
UNTOLD = "/proc /dev /srv /tmp /var/lib/dpkg /var/lib/apt /var/lib/systemd /var/cache /var/log"
ACCOUNTS = "'/etc/*shadow*' '/etc/passwd*' '/etc/group*' /etc/.pwd.lock"
FILES = "find / -xdev {} -print | sort".format(
    " ".join(
        [f"-path {path} -prune -o" for path in UNTOLD.split()]
        + [f"! -path {path}" for path in ACCOUNTS.split()]
    )
)


def install(debian: Debian, package: Path) -> str:
    debian.put(package, package.name)
    return debian.run(f"apt-get install --yes ./{package.name}")


@pytest.fixture(scope="module", name="older")
def older_fixture(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of an earlier version, with a module that the later one has no more."""
    place = tmp_path_factory.mktemp("older")
    tree = place / "tree"
    run(["dpkg-deb", "--raw-extract", package, tree])
    (tree / LIBRARY / "gone.py").write_text("HERE = True\n")
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 0.1", control.read_text()))
    run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, place / "older_0.1.deb"])
    return place / "older_0.1.deb"


def test_user_and_directories_are_there_and_nothing_runs(debian: Debian, package: Path) -> None:
    install(debian, package)
    assert "/var/lib/pykexec:/usr/sbin/nologin" in debian.run("getent passwd pykexec")
    assert debian.run(OWN).splitlines() == [
        "/etc/pykexec drwxr-x--- pykexec pykexec",
        "/etc/pykexec/server.env -rw-r--r-- root root",
        "/var/lib/pykexec drwx------ pykexec pykexec",
    ]
    links = "find /etc/systemd -name '*pykexec*'"
    assert debian.run(links) == ""
    assert debian.run("pykexec --version").startswith("pykexec ")
    # Whatever user asks: the modules are compiled, and nobody has to do it again.
    compiled = debian.run(f"find /{LIBRARY} -name '*.pyc' | wc -l")
    assert int(compiled) > 1000


def test_an_upgrade_keeps_database_keys_and_settings(
    debian: Debian, older: Path, package: Path
) -> None:
    install(debian, older)
    debian.run(f"{INIT}\nsed -i 's/--workers 2/--workers 3/' /etc/pykexec/server.env")
    sums = "sha256sum /etc/pykexec/* /var/lib/pykexec/*"
    before = debian.run(sums), debian.run(OWN)
    install(debian, package)
    assert (debian.run(sums), debian.run(OWN)) == before
    assert "the chain is whole" in debian.run(CHECK)
    assert debian.run(f"find /{LIBRARY} -name 'gone*'") == ""
    assert debian.run("dpkg --verify pykexec-server").splitlines() == [
        "??5?????? c /etc/pykexec/server.env"
    ]


def test_a_purge_keeps_database_and_keys_and_says_so(debian: Debian, package: Path) -> None:
    install(debian, package)
    debian.run(INIT)
    said = debian.run("apt-get purge --yes pykexec-server")
    assert "kept, as machines' secrets are lost without: /var/lib/pykexec /etc/pykexec" in said
    assert "once nobody needs them: rm -r /var/lib/pykexec /etc/pykexec" in said
    assert debian.run(OWN).splitlines() == [
        "/etc/pykexec drwxr-x--- pykexec pykexec",
        "/etc/pykexec/master.key -rw------- pykexec pykexec",
        "/var/lib/pykexec drwx------ pykexec pykexec",
        "/var/lib/pykexec/store.db -rw------- pykexec pykexec",
    ]
    install(debian, package)
    assert "the chain is whole" in debian.run(CHECK)


def test_a_purge_before_any_use_leaves_nothing(debian: Debian, package: Path) -> None:
    before = debian.run(FILES).splitlines()
    install(debian, package)
    assert "kept" not in debian.run("apt-get purge --yes pykexec-server")
    assert debian.run(FILES).splitlines() == before


def test_scripts_may_run_again(debian: Debian, package: Path) -> None:
    install(debian, package)
    debian.run(f"{INIT}\ndpkg-reconfigure pykexec-server")
    assert "the chain is whole" in debian.run(CHECK)
