# SPDX-License-Identifier: Apache-2.0
"""The server's container image: whole, the same each time, and all that a server needs."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from tests.packages.debian import START_S
from tests.packages.test_contents import field
from tests.support.running_server import wait
from tests.support.samples_tls import certified
from tools.oci.__main__ import main

# What a runtime does: the image's root read-only, two volumes, no capability, nobody's user.
_START = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
for volume in etc/pykexec var/lib/pykexec; do
	mount --bind "$2/$volume" "$1/$volume"
done
mount -t tmpfs tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
root=$1 user=$3
shift 3
exec /usr/sbin/chroot --userspec="$user" --groups= "$root" "$@"
"""
_STORE = "sqlite:////var/lib/pykexec/store.db"
_KEY = "file:/etc/pykexec/master.key"
_PYTHON = "/usr/lib/pykexec/bin/python3"


@dataclass(frozen=True, slots=True)
class Container:
    """An image unpacked into root, its volumes beside it."""

    root: Path
    volumes: Path
    config: Mapping[str, Sequence[str]]

    def command(self, words: Sequence[str]) -> list[str]:
        """What has them run in it, with the image's user and environment."""
        unshare = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child"]
        place = ["/bin/bash", str(self.root), str(self.volumes), str(self.config["User"])]
        script = ["/bin/bash", "-c", _START]
        return ["env", "-i", *self.config["Env"], *unshare, *script, *place, *words]

    def run(self, *words: str, stdin: str = "") -> str:
        """What it prints; AssertionError if it fails."""
        done = subprocess.run(
            self.command(words), input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def blob(image: Path, digest: str) -> Path:
    return image / "blobs" / digest.replace(":", "/")


@pytest.fixture(name="container")
def container_fixture(image: Path, tmp_path: Path) -> Container:
    """Layers over each other, as a runtime has them; volumes begin as the image has them."""
    root, volumes = tmp_path / "root", tmp_path / "volumes"
    root.mkdir()
    (described,) = json.loads((image / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(image, described["digest"]).read_bytes())
    for layer in manifest["layers"]:
        words = ["--extract", "--gzip", "--keep-directory-symlink", "--same-owner", "--file"]
        run(["tar", *words, blob(image, layer["digest"]), "--directory", root])
    config = json.loads(blob(image, manifest["config"]["digest"]).read_bytes())["config"]
    for path in config["Volumes"]:
        (volumes / path[1:]).parent.mkdir(parents=True)
        run(["cp", "--archive", root / path[1:], volumes / path[1:]])
    # Where a runtime mounts what is the host's.
    (root / "proc").mkdir(exist_ok=True)
    return Container(root, volumes, config)


def test_others_take_the_image(image: Path, package: Path, tmp_path: Path) -> None:
    run(["skopeo", "copy", "--insecure-policy", f"oci:{image}", f"dir:{tmp_path}/copy"])
    shown = json.loads(run(["skopeo", "inspect", "--no-tags", f"dir:{tmp_path}/copy"]))
    assert shown["Labels"]["org.opencontainers.image.version"] == field(package, "Version")
    assert (shown["Architecture"], shown["Os"], len(shown["Layers"])) == ("amd64", "linux", 2)


def test_an_image_that_was_changed_is_refused(image: Path, tmp_path: Path) -> None:
    """That who takes the image looks at its digests: the control of the test above."""
    run(["cp", "--archive", image, tmp_path / "image"])
    (described,) = json.loads((image / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(image, described["digest"]).read_bytes())
    config = blob(tmp_path / "image", manifest["config"]["digest"])
    config.write_bytes(config.read_bytes().replace(b"65532:65532", b"00000:00000"))
    with pytest.raises(ToolError, match="digest"):
        run(["skopeo", "copy", "--insecure-policy", f"oci:{tmp_path}/image", f"dir:{tmp_path}/d"])


def test_the_same_packages_are_the_same_image(image: Path, package: Path, tmp_path: Path) -> None:
    assert main([str(package), str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/index.json").read_bytes() == (image / "index.json").read_bytes()


def test_there_is_no_shell_and_no_secret(container: Container) -> None:
    names = {path.name for path in container.root.glob("usr/*bin/*")}
    assert names & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "su", "mount"} == set()
    assert list(container.volumes.rglob("*.key")) == []
    secrets = run(["grep", "--recursive", "--files-with-matches", "--include=*.key",
                   "--include=*.pem", "PRIVATE KEY", container.root], success=(0, 1))  # fmt: skip
    assert secrets == b""
    assert run(["find", container.root, "-perm", "/6000"]) == b""


def test_scanners_are_told_the_packages(container: Container) -> None:
    told = {path.name for path in (container.root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "python3.11", "pykexec-server"} <= {
        re.sub(r"python3\.\d+", "python3.11", name) for name in told
    }


def test_certificates_of_others_are_judged_by_debians_authorities(container: Container) -> None:
    trusted = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    assert int(container.run(_PYTHON, "-c", trusted)) > 100


def test_it_serves_with_its_root_read_only(container: Container, tmp_path: Path) -> None:
    (program,) = container.config["Entrypoint"]
    store = ("--database", _STORE, "--master-key", _KEY, "--password-file", "-")
    container.run(program, "server", "init", *store, stdin="correct horse battery staple")
    tls = certified(tmp_path / "tls")
    for source, name in ((tls.certificate, "cert.pem"), (tls.key, "key.pem")):
        target = container.volumes / "etc/pykexec" / name
        shutil.copy(source, target)
        shutil.chown(target, 65532, 65532)
    words = [word.replace("0.0.0.0:8443", "127.0.0.1:8444") for word in container.config["Cmd"]]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(container.command([program, *words]), stdout=log, stderr=log)
    try:
        wait(lambda: process.poll() is not None or ready(tls.authority), within=START_S)
        assert process.poll() is None, (tmp_path / "log").read_text()
    finally:
        # unshare takes no other signal while its child lives.
        process.kill()
        process.wait()


def ready(authority: Path) -> bool:
    """Whether it answers so."""
    context = ssl.create_default_context(cafile=authority)
    try:
        with urllib.request.urlopen("https://127.0.0.1:8444/readyz", context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
