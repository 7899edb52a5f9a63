# SPDX-License-Identifier: Apache-2.0
"""A key that a token keeps signs as the same key in a file does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec.errors import PykexecError, ToolError, UsageError
from pykexec.image import SigningKey
from pykexec.image.pkcs11 import TokenKey, parse_key
from pykexec.image.sign import sign
from pykexec.run import run
from tests.unit.image.inputs import pe_bytes

PIN = "493817"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
NAME = "pkcs11:token=boot;object=db"


@pytest.fixture(name="key")
def key_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    """A key in files, and with it in a token of SoftHSM's, which this process sees."""
    tokens, config = tmp_path / "tokens", tmp_path / "softhsm2.conf"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    found = SigningKey(tmp_path / "key.pem", tmp_path / "cert.pem")
    command = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=t"]
    run([*command, "-keyout", str(found.key), "-out", found.certificate])
    token = ["softhsm2-util", "--token", "boot", "--pin", PIN]
    run([*token, "--init-token", "--free", "--label", "boot", "--so-pin", "12345678"])
    run([*token, "--import", str(found.key), "--label", "db", "--id", "01"])
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return found


@pytest.mark.parametrize("module", ["", f"&module-path={SOFTHSM}"], ids=["p11-kit", "named"])
def test_a_token_signs_as_the_file_does(module: str, key: SigningKey, tmp_path: Path) -> None:
    found = parse_key(f"{NAME}?pin-source=file:{tmp_path}/pin{module}")
    assert sign(pe_bytes(), SigningKey(found, key.certificate)) == sign(pe_bytes(), key)


def wrong_pin(directory: Path) -> str:
    """The key with a PIN that is another one's."""
    (directory / "pin").write_text("111111\n")
    return f"{NAME}?pin-source={directory}/pin"


@pytest.mark.parametrize(
    ("uri", "error", "fault"),
    [
        (wrong_pin, ToolError, "PIN incorrect"),
        (lambda path: f"pkcs11:token=boot;object=x?pin-source={path}/pin", ToolError, "not found"),
        (lambda path: f"{NAME}?pin-source={path}/nowhere", UsageError, "nowhere: No such file"),
        (
            lambda path: f"{NAME}?pin-source={path}/pin&module-path=/nowhere.so",
            ToolError,
            "/nowhere.so",
        ),
    ],
    ids=["pin", "object", "file", "module"],
)
def test_what_is_wrong_with_a_token_is_said(
    uri: Callable[[Path], str],
    error: type[PykexecError],
    fault: str,
    key: SigningKey,
    tmp_path: Path,
) -> None:
    with pytest.raises(error) as caught:
        sign(pe_bytes(), SigningKey(parse_key(uri(tmp_path)), key.certificate))
    assert fault in str(caught.value) and PIN not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("pkcs11:object=db", TokenKey("pkcs11:object=db")),
        (
            "pkcs11:object=d%20b?pin-source=file:///run/a%20b&module-path=/lib/x.so",
            TokenKey("pkcs11:object=d%20b", "/lib/x.so", Path("/run/a b")),
        ),
    ],
)
def test_a_uri_names_key_library_and_pin(uri: str, key: TokenKey) -> None:
    assert parse_key(uri) == key


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("pkcs11:", "names no key"),
        ("pkcs11:object=db?pin-value=1234", "pin-value: who lists the processes would read it"),
        ("pkcs11:object=db?pin-source=pin", "must be an absolute path"),
        ("pkcs11:object=db?pin-source=|cat", "must be an absolute path"),
        ("pkcs11:object=db?module-name=x", "only module-path=PATH and pin-source=PATH"),
        ("pkcs11:object=db?module-path=", "only module-path=PATH and pin-source=PATH"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused(uri: str, fault: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_key(uri)
    assert fault in str(caught.value) and "1234" not in str(caught.value)
