# SPDX-License-Identifier: Apache-2.0
"""A verified launch in a machine: started by the firmware and by us, whole and altered."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pykexec.launch.build import Built, build, opened
from pykexec.launch.bundle import public_bytes
from pykexec.launch.manifest import parse_manifest
from pykexec.vm import packages
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import Esp, Raw, make_disk
from pykexec.vm.kernels import kernel
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.ovmf import VERSIONS, firmware
from pykexec.vm.vm import Vm
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import IMAGE_PATH
from tests.vm.through import expect_kexec

pytestmark = pytest.mark.matrix

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HIDDEN = "33333333-3333-4333-8333-333333333333"  # Raw's own
XEN_PATH = r"\EFI\pykexec\xen.efi"
# Of the emulation: its faults on SMAP, of two domains' FPU, in an idle loop by MWAIT, its cx16.
CPU = "max,-cx16,-smap,-smep,-monitor,-rdtscp,-erms,-fsrm"
OPTIONS = "console=com1 com1=115200,8n1 noreboot spec-ctrl=eager-fpu"
AGENT = f"""\
[payload]
path = '{XEN_PATH}'
kind = "launch"
[failure]
action = "reset"
"""
ARENA_MIB = 640  # The payload is there three times before it is started.


def make_launch(directory: Path) -> Built:
    """Debian's Xen and kernel, and one domain that has nothing but these."""
    dom0 = kernel("6.12-generic")
    xen = packages.fetch(packages.XENS["4.17"]) / "boot/xen-4.17-amd64.efi"
    utils = packages.fetch(packages.XEN_UTILS["4.17"])
    text = f"""\
name = "test"
version = 1
[xen]
image = "{xen}"
options = "{OPTIONS}"
[dom0]
kernel = "{dom0.image}"
modules = "{dom0.modules}"
roots = ["{utils}", "/"]
[hidden]
partition = "{HIDDEN}"
[[domain]]
name = "pc"
kernel = "{dom0.image}"
cmdline = "console=hvc0 panic=-1"
memory_mib = 160
"""
    (directory / "launch.toml").write_text(text)
    return build(parse_manifest(text.encode(), "launch.toml"), KEY)


def start(boot: Boot, directory: Path, image: bytes, bundle: bytes, *, by_us: bool = False) -> Vm:
    """A machine with TPM whose firmware starts the launch, or our image, which does."""
    (directory / "bundle").write_bytes(bundle + bytes(-len(bundle) % (1 << 20)))
    files: dict[str, bytes | Path] = {XEN_PATH[1:].replace("\\", "/"): image}
    if by_us:
        files[IMAGE_PATH[1:].replace("\\", "/")] = images.image(config=AGENT, arena_mib=ARENA_MIB)
    disk = make_disk(directory / "disk.img", [Esp(files), Raw(directory / "bundle")])
    entry = boot_entry(disk, IMAGE_PATH if by_us else XEN_PATH, "", "launch")
    found = firmware(VERSIONS[0])
    write_boot_entries(found.variables, directory / "variables.fd", [entry])
    machine = Machine(
        found,
        variables=directory / "variables.fd",
        cpu=CPU,
        memory_mib=2048,
        disks=(Disk(disk.path),),
        tpm="tis",
    )
    vm = boot(machine)
    if by_us:
        expect_kexec(vm)
    vm.expect_stage("dom0", "toolstack", within=180)
    return vm


@pytest.fixture(name="made", scope="module")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One launch for all."""
    return make_launch(tmp_path_factory.mktemp("launch"))


@pytest.mark.parametrize("by_us", [False, True], ids=["by-the-firmware", "by-us"])
def test_dom0_verifies_the_bundle_and_starts_its_domain(
    by_us: bool, made: Built, boot: Boot, tmp_path: Path
) -> None:
    vm = start(boot, tmp_path, made.image, made.bundle, by_us=by_us)
    vm.expect("bundle test, version 1", within=60)
    vm.expect_stage("dom0", "domain-pc", within=120)


def test_a_domain_of_which_a_byte_was_changed_does_not_start(
    made: Built, boot: Boot, tmp_path: Path
) -> None:
    file = opened(made.bundle, public_bytes(KEY)).file("pc/kernel")
    bundle = bytearray(made.bundle)
    bundle[file.offset + file.size // 2] ^= 1
    vm = start(boot, tmp_path, made.image, bytes(bundle))
    vm.expect("domain pc: bundle: pc/kernel: its SHA-256 is", within=120)


def test_a_bundle_that_is_not_signed_by_its_key_starts_nothing(
    made: Built, boot: Boot, tmp_path: Path
) -> None:
    bundle = made.bundle.replace(b'"version":1', b'"version":2', 1)
    vm = start(boot, tmp_path, made.image, bundle)
    vm.expect("signature: not that of this key; no domain is started", within=60)
