# SPDX-License-Identifier: Apache-2.0
"""What a pinned authority keeps out, and payloads that are not what their digest says."""

from __future__ import annotations

import pytest

from pykexec.config.agent import NetworkConfig
from pykexec.config.url import parse_url
from pykexec.errors import NetworkError
from pykexec.kexec.remote import check_trust, limits
from pykexec.kexec.request import is_remote_path

PINNED = NetworkConfig(authorities="PEM")


@pytest.mark.parametrize("address", ["http://server/a.efi", "tftp://server/a.efi"])
def test_who_pins_an_authority_wants_nothing_without_it(address: str) -> None:
    with pytest.raises(NetworkError, match="this needs HTTPS, or a sha256"):
        check_trust(parse_url(address), PINNED)
    check_trust(parse_url(address), PINNED, "ab" * 32)
    check_trust(parse_url(address), NetworkConfig())


def test_https_needs_no_digest() -> None:
    check_trust(parse_url("https://server/a.efi"), PINNED)


def test_the_configuration_bounds_a_download() -> None:
    bounds = limits(NetworkConfig("PEM", timeout_s=3, total_s=30), 1000)
    assert (bounds.size, bounds.timeout_s, bounds.total_s) == (1000, 3, 30)
    assert bounds.authorities == "PEM"


@pytest.mark.parametrize(
    ("path", "remote"),
    [("http://s/a", True), ("tftp://s/a", True), ("\\EFI\\a.efi", False), ("/tmp/a:b", False)],
)
def test_an_address_is_told_from_a_path(path: str, remote: bool) -> None:
    assert is_remote_path(path) == remote
