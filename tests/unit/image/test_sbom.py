# SPDX-License-Identifier: Apache-2.0
"""The bill of materials: valid CycloneDX, every file of the image once, no chance in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pykexec.about import REPORTS_TO, version
from pykexec.cli import main
from pykexec.errors import UsageError
from pykexec.image import Built, Recipe, build, initrd, interpreter
from pykexec.image.recipe import DATA
from pykexec.run import run
from tests.unit.image import built as builds
from tests.unit.image.inputs import kernel_bytes
from tests.unit.image.test_build import archives, write_inputs
from tests.unit.image.test_modules import module

Json = dict[str, Any]
ENTRIES = interpreter.entries


def recipe_in(directory: Path, depends: str = "") -> Recipe:
    """A recipe whose kernel has the modules one, which says what it depends on, and two."""
    write_inputs(directory)
    (directory / "modules" / "one.ko").write_bytes(module(depends))
    (directory / "modules" / "two.ko").write_bytes(module(""))
    return dataclasses.replace(builds.recipe(directory), more_modules=("one", "two"))


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """Compressing, and compiling Python, are most of a build's time and not what this is about."""
    python = tuple(interpreter.entries())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initrd, "_LEVEL", 1)
        patch.setattr(interpreter, "entries", lambda: iter(python))
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        yield


@pytest.fixture(scope="module", name="recipe")
def recipe_fixture(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """What is built below."""
    return recipe_in(tmp_path_factory.mktemp("sbom") / "in")


@pytest.fixture(scope="module", name="built")
def built_fixture(recipe: Recipe) -> Built:
    """An image and its bill."""
    return build(recipe)


@pytest.fixture(scope="module", name="bill")
def bill_fixture(built: Built) -> Json:
    """The bill of that image."""
    bill: Json = json.loads(built.sbom)
    return bill


def named(bill: Json, name: str) -> Json:
    """The one component with this name."""
    (found,) = (each for each in bill["components"] if each["name"] == name)
    component: Json = found
    return component


def sha256(component: Json) -> str:
    """The digest that the bill has of a component."""
    ((algorithm, digest),) = (each.values() for each in component["hashes"])
    assert algorithm == "SHA-256"
    return str(digest)


def files_of(bill: Json) -> list[tuple[str, str]]:
    """Path and digest of everything in the bill that lies in our initramfs."""
    found = []
    for each in bill["components"]:
        if each["type"] == "device-driver":
            (occurrence,) = each["evidence"]["occurrences"]
            found.append((occurrence["location"], sha256(each)))
        if not each["bom-ref"].startswith("added/"):
            nested = [file for file in each.get("components", []) if file["name"][0] == "/"]
            found += [(file["name"], sha256(file)) for file in nested]
    return found


def test_it_is_valid_cyclonedx(built: Built) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(built.sbom.decode()) is None


def test_every_file_of_the_initramfs_belongs_to_one_component(
    built: Built, bill: Json, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(built.data)
    archive, _ = archives(tmp_path / "image")
    root = tmp_path / "root"
    root.mkdir()
    run(["cpio", "--extract", "--quiet", "--nonmatching", "dev/console"], cwd=root, stdin=archive)
    shipped = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sorted(files_of(bill)) == sorted(
        (f"/{path.relative_to(root)}", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in shipped
    )


def test_what_no_package_owns_stands_by_itself(recipe: Recipe, tmp_path: Path) -> None:
    busybox = tmp_path / "own-busybox"
    busybox.write_bytes(recipe.busybox.read_bytes() + b"\0")
    bill = json.loads(build(dataclasses.replace(recipe, busybox=busybox)).sbom)
    found = named(bill, "/bin/busybox")
    assert found["type"] == "file" and "purl" not in found
    assert sha256(found) == hashlib.sha256(busybox.read_bytes()).hexdigest()


def test_the_image_itself(built: Built, bill: Json) -> None:
    image = bill["metadata"]["component"]
    assert sha256(image) == hashlib.sha256(built.data).hexdigest()
    assert image["version"] == version()


def test_the_kernel(bill: Json) -> None:
    kernel = named(bill, "linux")
    assert (kernel["version"], kernel["description"]) == ("6.1.0-test", "6.1.0-test (me) #1")
    assert sha256(kernel) == hashlib.sha256(kernel_bytes()).hexdigest()


def test_ourselves(recipe: Recipe, bill: Json) -> None:
    ours = named(bill, "pykexec")
    assert ours["version"] == version()
    assert ours["supplier"]["contact"][0]["email"] == REPORTS_TO
    digests = {file["name"].rpartition("/")[2]: sha256(file) for file in ours["components"]}
    for path in (recipe.stub, recipe.resume, recipe.ramdisk):
        assert digests[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_of_debian_s_has_its_purl_and_licence(bill: Json) -> None:
    (openssl,) = (
        each
        for each in bill["components"]
        if any(file["name"].endswith("/libcrypto.so.3") for file in each.get("components", []))
    )
    assert openssl["purl"].startswith(f"pkg:deb/debian/{openssl['name']}@")
    assert "upstream=openssl" in openssl["purl"]
    assert openssl["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_a_module_has_the_licence_that_it_declares(bill: Json) -> None:
    assert named(bill, "one")["licenses"] == [{"license": {"id": "GPL-2.0-only"}}]


def test_what_the_user_added(bill: Json) -> None:
    added = named(bill, "added")
    (note,) = added["components"]
    assert note["name"] == "/note"
    assert sha256(note) == hashlib.sha256(b"from the user\n").hexdigest()


def test_a_changed_module_has_another_digest(bill: Json, tmp_path: Path) -> None:
    other = json.loads(build(recipe_in(tmp_path / "in", depends="two")).sbom)
    assert sha256(named(other, "one")) == hashlib.sha256(module("two")).hexdigest()
    assert sha256(named(other, "one")) != sha256(named(bill, "one"))
    assert sha256(named(other, "two")) == sha256(named(bill, "two"))
    assert other["serialNumber"] != bill["serialNumber"]
    (needs,) = (each["dependsOn"] for each in other["dependencies"] if each["ref"] == "module/one")
    assert needs == ["kernel", "module/two"]


def test_the_same_recipe_gives_the_same_bytes(
    recipe: Recipe, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "entries", ENTRIES)
    assert build(recipe).sbom == built.sbom


def test_time_is_what_source_date_epoch_says(
    recipe: Recipe, bill: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "timestamp" not in bill["metadata"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = json.loads(build(recipe).sbom)
    assert dated["metadata"]["timestamp"] == "1970-01-02T00:00:00+00:00"


@pytest.mark.parametrize("epoch", ["tomorrow", "9" * 30])
def test_source_date_epoch_that_is_no_time(
    recipe: Recipe, epoch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError, match=r"SOURCE_DATE_EPOCH: .* is not seconds since 1970"):
        build(recipe)


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ([], {"image.efi", "image.efi.cdx.json"}),
        (["--sbom", "bill.json"], {"image.efi", "bill.json"}),
        (["--no-sbom"], {"image.efi"}),
    ],
)
def test_build_writes_it_where_it_is_told(
    words: list[str], written: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernel").write_bytes(kernel_bytes())
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    command = ["build", "--kernel", "../kernel", "--no-modules", "--output", "image.efi"]
    assert DATA.is_dir() and main([*command, *words]) == 0
    assert {path.name for path in Path().iterdir()} == written


def test_a_bill_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bill = tmp_path / "image.efi", tmp_path / "none" / "bill.json"
    command = ["build", "--kernel", "/dev/null", "--no-modules", "--output", str(output)]
    assert main([*command, "--sbom", str(bill)]) == 2
    assert capsys.readouterr().err == f"pykexec: {bill.parent}: no such directory\n"
