# SPDX-License-Identifier: Apache-2.0
"""[wim] of agent.toml: which files, where they are, what each fault says."""

from __future__ import annotations

import pytest

from pykexec.config.agent import parse_config
from pykexec.config.wim import WimConfig, WimPart
from pykexec.errors import ConfigError

REMOTE = "[payload]\nurl = 'https://boot.example/winpe/bootmgfw.efi'\n"
ON_VOLUME = "[payload]\npath = '\\winpe\\bootmgfw.efi'\n"
DIGEST = "ab" * 32


def parse(text: str) -> WimConfig | None:
    return parse_config(text.encode(), "a.toml").wim


def test_what_is_not_named_lies_beside_the_boot_manager_under_its_usual_name() -> None:
    found = parse(f"{REMOTE}[wim]\nwim = 'boot.wim'\n")
    assert found == WimConfig(WimPart("boot.wim"), WimPart("boot.sdi"), WimPart("BCD"), None)
    assert parse(REMOTE) is None


def test_every_file_has_a_place_and_a_digest() -> None:
    text = "".join(
        f"{name} = 'http://s/{name}'\n{name}_sha256 = '{DIGEST.upper()}'\n"
        for name in ("wim", "sdi", "bcd", "stl")
    )
    found = parse(f"{ON_VOLUME}[wim]\n{text}")
    assert found and found.stl == WimPart("http://s/stl", DIGEST)
    assert (found.wim.sha256, found.bcd.source) == (DIGEST, "http://s/bcd")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"{REMOTE}[wim]\n", "wim.wim: missing"),
        ("[wim]\nwim = 'boot.wim'\n", "wim.wim: there is no payload, the boot manager"),
        (f"{REMOTE}[wim]\nwim = '../../../boot.wim'\n", "wim.wim: ../../../boot.wim: leads above"),
        (f"{REMOTE}[wim]\nwim = 'boot wim'\n", "wim.wim: 'boot wim': an address has printable"),
        (f"{ON_VOLUME}[wim]\nwim = 'ftp://s/boot.wim'\n", "wim.wim: ftp://s/boot.wim: ftp is none"),
        (f'{ON_VOLUME}[wim]\nwim = "a\\u0000b"\n', "wim.wim: 'a\\x00b' is no name of a file"),
        (f"{REMOTE}[wim]\nwim = 'a'\nwim_sha256 = '12'\n", "wim.wim_sha256: must be 64"),
        (f"{REMOTE}[wim]\nwim = 'a'\nstl_sha256 = '{DIGEST}'\n", "wim.stl_sha256: there is no stl"),
        (f"{REMOTE}[wim]\nwim = 'a'\nx = 1\n", "wim.x: unknown key"),
    ],
)
def test_faults_name_the_key(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"a.toml: {fault}")
