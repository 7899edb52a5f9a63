# SPDX-License-Identifier: Apache-2.0
"""Signatures of images, by a key in a file and by the same one in a token."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pykexec.errors import PykexecError, ToolError, UsageError
from pykexec.image import SigningKey, builder, initrd, sign
from pykexec.image.inspection import inspect
from pykexec.image.pkcs11 import TokenKey, parse_key
from pykexec.run import run
from tests.unit.image import built
from tests.unit.image.inputs import pe_bytes
from tests.unit.image.test_build import archives, write_inputs

PIN = "493817"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
NAME = "pkcs11:token=boot;object=db"


@pytest.fixture(name="key", scope="session")
def key_fixture(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A key with a self-signed certificate."""
    directory = tmp_path_factory.mktemp("key")
    found = SigningKey(directory / "key.pem", directory / "cert.pem")
    command = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=t"]
    run([*command, "-keyout", str(found.key), "-out", found.certificate])
    return found


@pytest.fixture
def token(key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a token of SoftHSM's, which this process sees and which has the key, and
    with its PIN.
    """
    tokens, config = tmp_path / "tokens", tmp_path / "softhsm2.conf"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    token = ["softhsm2-util", "--token", "boot", "--pin", PIN]
    run([*token, "--init-token", "--free", "--label", "boot", "--so-pin", "12345678"])
    run([*token, "--import", str(key.key), "--label", "db", "--id", "01"])
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return tmp_path


def test_signature_is_reproducible_and_verified_by_sbverify(
    key: SigningKey, tmp_path: Path
) -> None:
    signed = sign.sign(pe_bytes(), key)
    (tmp_path / "signed.efi").write_bytes(signed)
    run(["sbverify", "--cert", key.certificate, tmp_path / "signed.efi"])
    assert sign.sign(pe_bytes(), key) == signed
    report = inspect(signed, "signed.efi")
    assert report.pe and [each.kind for each in report.pe.signatures] == ["Authenticode (PKCS #7)"]


def test_the_key_was_valid_at_the_signing_time(key: SigningKey) -> None:
    """Else Linux' kexec takes the signature for none."""
    assert 0 <= time.time() - int(sign._valid_from(str(key.certificate))) < 3600


def test_signing_with_a_broken_key_fails(key: SigningKey, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(ToolError, match="osslsigncode"):
        sign.sign(pe_bytes(), SigningKey(tmp_path / "key.pem", key.certificate))


def test_the_ram_disk_driver_is_signed_like_the_image(
    key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)
    write_inputs(tmp_path / "in")
    recipe = dataclasses.replace(built.recipe(tmp_path / "in"), signing=key)
    image = tmp_path / "signed.efi"
    image.write_bytes(builder.build(recipe).data)
    assert sign.sign(recipe.ramdisk.read_bytes(), key) in archives(image)[0]


@pytest.mark.parametrize("module", ["", f"&module-path={SOFTHSM}"], ids=["p11-kit", "named"])
def test_a_token_signs_as_the_file_does(module: str, key: SigningKey, token: Path) -> None:
    found = parse_key(f"{NAME}?pin-source=file:{token}/pin{module}")
    in_token = SigningKey(found, key.certificate)
    assert sign.sign(pe_bytes(), in_token) == sign.sign(pe_bytes(), key)


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
    token: Path,
) -> None:
    with pytest.raises(error) as caught:
        sign.sign(pe_bytes(), SigningKey(parse_key(uri(token)), key.certificate))
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
