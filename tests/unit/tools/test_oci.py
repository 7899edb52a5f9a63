# SPDX-License-Identifier: Apache-2.0
"""Image layouts as the OCI image specification has them, of the same bytes for the same files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tools.oci import layout
from tools.oci.layer import Layer, Owned, pack
from tools.oci.layout import Image

EPOCH = 1_700_000_000
OWNED = (Owned("var/lib/server", 65532, 0o700),)
IMAGE = Image(
    name="1.0",
    epoch=EPOCH,
    user=65532,
    entrypoint=["/usr/bin/server"],
    command=["serve"],
    environment={"LANG": "C.UTF-8"},
    volumes=["/var/lib/server"],
    port=8443,
    labels={"title": "server"},
)


def tree(root: Path, names: list[str]) -> Path:
    """Files, made in the order of names, that run as their owner; a link; two directories."""
    for name in names:
        path = root / "usr/bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")
        path.chmod(0o4755)
    (root / "bin").symlink_to("usr/bin")
    (root / "var/lib/server/inner").mkdir(parents=True)
    return root


def built(place: Path, names: list[str]) -> Path:
    """The layout of such a tree."""
    into = place / "layout"
    layers = [pack(tree(place / "files", names), layout.blobs(into), "by hand", EPOCH, OWNED)]
    layout.write(IMAGE, layers, into)
    return into


def blob(into: Path, descriptor: dict[str, object]) -> bytes:
    """What a descriptor is of: found by its digest, of its size."""
    algorithm, _, digest = str(descriptor["digest"]).partition(":")
    data = (into / "blobs" / algorithm / digest).read_bytes()
    assert (hashlib.new(algorithm, data).hexdigest(), len(data)) == (digest, descriptor["size"])
    return data


def members(layer: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        return {info.name: info for info in tar}


def test_a_layout_leads_from_its_index_to_every_file(tmp_path: Path) -> None:
    into = built(tmp_path, ["one", "two"])
    assert json.loads((into / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((into / "index.json").read_bytes())
    (described,) = index["manifests"]
    assert described["platform"] == {"architecture": "amd64", "os": "linux"}
    manifest = json.loads(blob(into, described))
    assert (index["schemaVersion"], manifest["schemaVersion"]) == (2, 2)
    config = json.loads(blob(into, manifest["config"]))
    (layer,) = (blob(into, each) for each in manifest["layers"])
    diff_id = hashlib.sha256(gzip.decompress(layer)).hexdigest()
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    assert list(members(layer)) == [
        "bin", "usr", "usr/bin", "usr/bin/one", "usr/bin/two",
        "var", "var/lib", "var/lib/server", "var/lib/server/inner",
    ]  # fmt: skip
    assert len(list((into / "blobs/sha256").iterdir())) == 3


def test_the_image_runs_as_nobody_of_the_host(tmp_path: Path) -> None:
    into = built(tmp_path, ["one"])
    (described,) = json.loads((into / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(into, described))
    config = json.loads(blob(into, manifest["config"]))["config"]
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["/usr/bin/server"], ["serve"])
    assert config["Volumes"] == {"/var/lib/server": {}}
    assert config["ExposedPorts"] == {"8443/tcp": {}}


def test_files_are_roots_and_what_is_owned_is_its_owners(tmp_path: Path) -> None:
    (layer,) = layers(tmp_path)
    found = members((tmp_path / "blobs" / layer.digest.partition(":")[2]).read_bytes())
    assert {name: (info.uid, info.gid) for name, info in found.items() if info.uid} == {
        "var/lib/server": (65532, 65532),
        "var/lib/server/inner": (65532, 65532),
    }
    assert found["var/lib/server"].mode == 0o700
    assert {info.mtime for info in found.values()} == {EPOCH}


def test_nothing_in_an_image_runs_as_its_files_owner(tmp_path: Path) -> None:
    (layer,) = layers(tmp_path)
    found = members((tmp_path / "blobs" / layer.digest.partition(":")[2]).read_bytes())
    assert found["usr/bin/one"].mode == 0o755


def layers(place: Path) -> list[Layer]:
    (place / "blobs").mkdir()
    return [pack(tree(place / "files", ["one"]), place / "blobs", "by hand", EPOCH, OWNED)]


def test_the_same_files_are_the_same_image(tmp_path: Path) -> None:
    first = built(tmp_path / "first", ["one", "two"])
    second = built(tmp_path / "second", ["two", "one"])
    os.utime(tmp_path / "second/files/usr/bin/one", (1, 1))
    assert (first / "index.json").read_bytes() == (second / "index.json").read_bytes()
    changed = built(tmp_path / "third", ["one", "three"])
    assert (first / "index.json").read_bytes() != (changed / "index.json").read_bytes()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tree(tmp_path / "root", ["one"]) / "pipe")
    (tmp_path / "blobs").mkdir()
    with pytest.raises(ValueError, match="pipe: neither a file"):
        pack(tmp_path / "root", tmp_path / "blobs", "by hand", EPOCH)
