# SPDX-License-Identifier: Apache-2.0
"""Which package a file came with: dpkg's, Python's, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.image.owners import owners, spdx

SHELL = Path("/bin/bash")


def test_a_file_of_dpkg_s_by_either_of_its_names() -> None:
    found = owners([SHELL, Path("/usr/bin/bash")])
    assert {owner.name for owner in found.values()} == {"bash"}
    assert len(found) == 2


def test_a_package_url_says_distribution_and_architecture() -> None:
    purl = owners([SHELL])[SHELL].purl
    assert (purl.type, purl.name) == ("deb", "bash")
    assert isinstance(purl.qualifiers, dict)
    assert purl.qualifiers["arch"] == "amd64"
    assert purl.qualifiers["distro"].startswith(f"{purl.namespace}-")


def test_a_file_of_a_python_package() -> None:
    path = Path(pytest.__file__)
    owner = owners([path])[path]
    assert owner.purl.to_string() == f"pkg:pypi/pytest@{pytest.__version__}"
    assert owner.licence == "MIT"


@pytest.mark.parametrize("name", ["/nowhere", "/proc/version", "/tmp/[a]*?"])
def test_a_file_of_none(name: str) -> None:
    assert owners([Path(name)]) == {}


def test_one_file_without_owner_takes_none_from_the_others() -> None:
    assert list(owners([Path("/nowhere"), SHELL])) == [SHELL]


@pytest.mark.parametrize(
    ("debian", "expected"),
    [
        ("Expat", "MIT"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-3+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Apache-2.0", "Apache-2.0"),
        ("public-domain", "public-domain"),
    ],
)
def test_debian_s_names_of_licences_become_spdx_s(debian: str, expected: str) -> None:
    assert spdx(debian) == expected
