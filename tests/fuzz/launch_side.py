# SPDX-License-Identifier: Apache-2.0
"""What a verified launch reads of others: a hypervisor, manifests, bundles, configuration space."""

from __future__ import annotations

import contextlib

from pykexec.efi.unified_xen import check_unified
from pykexec.errors import FormatError
from pykexec.launch.dom0 import pci
from pykexec.launch.dom0.bundle import HEAD, open_bundle, parse_header, verify
from pykexec.launch.dom0.settings import parse_settings
from pykexec.launch.manifest import parse_manifest
from pykexec.launch.unified import unify
from tests.support.launches import PARTS, launch_bytes, xen_bytes
from tests.unit.launch.inputs import BUNDLE, MANIFEST, PUBLIC, SETTINGS, reading
from tests.unit.launch.test_pci import space


def unified_xen(data: bytes) -> None:
    """What is taken for a launch has command lines that encode to what it holds; and any hypervisor
    is made one, or refused.
    """
    with contextlib.suppress(FormatError):
        check_unified(data, "x")
    check_unified(unify(data, "x", PARTS), "y")


def unified_xens() -> list[bytes]:
    """One that can be made a launch. A launch itself cannot be made one again."""
    assert check_unified(launch_bytes(), "x")
    return [xen_bytes()]


def bundle(data: bytes) -> None:
    """A file with a signature, right or wrong."""
    verify(reading(data), open_bundle(reading(data), PUBLIC))


def header(data: bytes) -> None:
    """A header that somebody has signed who writes nonsense: what comes out can be told again."""
    found = parse_header(data)
    assert all(found.file(path) for domain in found.domains for path in domain.files)


def headers() -> list[bytes]:
    """The bundle's."""
    start = HEAD.size + 64
    return [BUNDLE[start : start + HEAD.unpack_from(BUNDLE)[2]]]


def manifest(data: bytes) -> None:
    """A manifest."""
    parse_manifest(data, "x")


def settings(data: bytes) -> None:
    """What comes out encodes to the same."""
    found = parse_settings(data)
    assert parse_settings(found.encode()) == found


def configuration_space(data: bytes) -> None:
    """A PCI function's."""
    pci.decode("0000:00:02.0", "", data)


def bundles() -> list[bytes]:
    """One that is ours."""
    return [BUNDLE]


def manifests() -> list[bytes]:
    """One with every table."""
    return [MANIFEST.encode()]


def all_settings() -> list[bytes]:
    """Those of dom0."""
    return [SETTINGS.encode()]


def configuration_spaces() -> list[bytes]:
    """With and without Access Control Services."""
    return [space(), space(header=1, kind=4, acs=(0b11101, 0b11101))]
