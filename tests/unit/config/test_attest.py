# SPDX-License-Identifier: Apache-2.0
"""[attest]: what is accepted, and that nobody but the embedded configuration takes it away."""

from __future__ import annotations

import pytest

from pykexec.config.agent import AgentConfig, parse_config, resolve_config, resolve_network_config
from pykexec.config.attest import AttestConfig
from pykexec.errors import ConfigError

EMBEDDED = b"[attest]\nserver = 'https://keys.example'\n"
OTHER = b"[attest]\nserver = 'https://other.example'\n"
EMBEDDED_ATTEST = AttestConfig("https://keys.example")
OTHER_ATTEST = AttestConfig("https://other.example")


def test_every_key_is_read() -> None:
    text = (
        b"[attest]\nserver = 'https://[fd00::1]:8443/fleet'\nrequired = false\n"
        b"timeout_s = 30\nbank = 'sha384'\nek = 'ecc-p384'\npersist = true\n"
    )
    assert parse_config(text, "a").attest == AttestConfig(
        "https://[fd00::1]:8443/fleet", False, 30, "sha384", "ecc-p384", True
    )


def test_attestation_is_required_unless_said_otherwise() -> None:
    config = parse_config(EMBEDDED, "a").attest
    assert config == AttestConfig("https://keys.example", True, 120, "", "auto", False)


def test_without_the_table_nothing_is_attested() -> None:
    assert parse_config(b"", "a").attest is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("attest = true", "attest: must be a table"),
        ("[attest]", "attest.server: missing"),
        ("[attest]\nserver = ''", "attest.server: missing"),
        ("[attest]\nserver = 'http://s'", "attest.server: http://s: evidence and secrets go by"),
        ("[attest]\nserver = 'https://s/?a'", "attest.server: https://s/?a: paths are added"),
        ("[attest]\nserver = 'keys'", "attest.server: keys: not an address"),
        ("{S}required = 1", "attest.required: must be true or false"),
        ("{S}persist = 'yes'", "attest.persist: must be true or false"),
        ("{S}timeout_s = 0", "attest.timeout_s: must be 1 or more"),
        ("{S}break_glass = 'http://s'", "attest.break_glass: must be https://HOST"),
        ("{S}break_glass = 'https://s/p'", "attest.break_glass: must be https://HOST"),
        ("{S}break_glass = 'https://[fd00::1]'", "attest.break_glass: must be https://HOST"),
        ("{S}timeout_s = -1", "attest.timeout_s: must be a number"),
        ("{S}bank = 'sha1'", "attest.bank: 'sha1' is not one of sha256, sha384"),
        ("{S}ek = 'rsa'", "attest.ek: 'rsa' is not one of auto, rsa2048"),
        ("{S}policy = 'x'", "attest.policy: unknown key"),
    ],
)
def test_a_fault_names_its_key(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.replace("{S}", EMBEDDED.decode()).encode(), "agent.toml")
    assert str(caught.value).startswith(f"agent.toml: {fault}")


def test_an_override_may_bring_it() -> None:
    assert resolve_config(b"", OTHER).attest == OTHER_ATTEST
    assert resolve_network_config(AgentConfig(), OTHER, "s").attest == OTHER_ATTEST


def test_an_override_does_not_take_it_away() -> None:
    embedded = parse_config(EMBEDDED, "embedded")
    assert resolve_config(EMBEDDED, b"[agent]\nshell = true").attest == EMBEDDED_ATTEST
    assert resolve_network_config(embedded, b"", "s").attest == EMBEDDED_ATTEST


def test_an_override_does_not_replace_it() -> None:
    fault = "attest: the embedded configuration has its own"
    with pytest.raises(ConfigError, match=fault):
        resolve_config(EMBEDDED, OTHER)
    with pytest.raises(ConfigError, match=fault):
        resolve_network_config(parse_config(EMBEDDED, "embedded"), OTHER, "s")


def test_a_page_for_phones_may_be_another_host() -> None:
    config = parse_config(EMBEDDED + b"break_glass = 'https://Keys-2.example:8443'\n", "a").attest
    assert config and config.break_glass == "https://Keys-2.example:8443"
