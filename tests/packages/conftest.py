# SPDX-License-Identifier: Apache-2.0
"""What `make deb` and `make oci` have built, and Debians to install it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.debian import Debian, bootstrap, started
from tests.support.shared import once
from tools.oci.debian import runtime

BUILD = Path(__file__).resolve().parents[2] / "build"


@pytest.fixture(scope="session", name="package")
def package_fixture() -> Path:
    """The server's Debian package."""
    (found,) = (BUILD / "deb").glob("pykexec-server_*.deb")
    return found


@pytest.fixture(scope="session", name="image")
def image_fixture() -> Path:
    """The layout of its container image."""
    return BUILD / "oci"


@pytest.fixture(scope="session", name="base")
def base_fixture(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian that has what the package depends on, and not the package."""
    names = [*runtime(package), "ca-certificates", "systemd"]
    return once(tmp_path_factory, "debian", lambda into: bootstrap(into / "root", names)) / "root"


@pytest.fixture(name="debian")
def debian_fixture(base: Path, tmp_path: Path) -> Iterator[Debian]:
    """One of the test's own."""
    with started(base, tmp_path / "debian") as found:
        yield found
