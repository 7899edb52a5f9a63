# SPDX-License-Identifier: Apache-2.0
"""A Debian boots, installs the server by the commands of the documentation, and has systemd run it,
shut in as its unit says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.image import cpio
from pykexec.run import run
from pykexec.vm import ovmf
from pykexec.vm.bootvars import boot_entry, write_boot_entries
from pykexec.vm.disk import Esp, Partition, Raw, make_disk
from pykexec.vm.kernels import Kernel, kernel, load_order
from pykexec.vm.machine import Disk, Machine
from pykexec.vm.vm import Vm
from tests.packages.test_story import PAGE, PASSWORD, READY
from tests.support.documented import commands

LIMIT_S = 2400.0
MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "ext4")
INIT = """#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
until [ -b /dev/vda2 ]; do usleep 100000; done
mount -t ext4 /dev/vda2 /mnt
umount /dev
exec switch_root /mnt /lib/systemd/systemd
"""
UNIT = """[Service]
Type=oneshot
ExecStart=/srv/story
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
WorkingDirectory=/srv
"""
# The trap speaks for what failed; the machine ends in any case.
STORY = """#!/bin/bash
trap 'echo "PK:server:story:$?"; systemctl --no-block poweroff' EXIT
set -eux
export HOME=/srv USER=root NAME=localhost DEBIAN_FRONTEND=noninteractive
sudo() {{
	if [ "$1" = -u ]; then local user=$2; shift 2; runuser -u "$user" -- "$@"; else "$@"; fi
}}
ready() {{
	{ready}
}}
{commands}
until [ "$(ready)" = 200 ]; do systemctl is-active pykexec-server; sleep 1; done
echo PK:server:ready:0
systemctl reload pykexec-server
systemctl is-active pykexec-server
apt-get install --yes --reinstall ./build/deb/*.deb
until [ "$(ready)" = 200 ]; do systemctl is-active pykexec-server; sleep 1; done
echo PK:server:again:0
apt-get purge --yes pykexec-server
[ "$(systemctl is-active pykexec-server)" = inactive ]
[ -s /etc/pykexec/master.key ] && [ -s /var/lib/pykexec/store.db ]
"""


def story() -> str:
    """All that the page has an operator do, to the start of the server, and what comes later."""
    _, install = commands(PAGE, "The package")
    init, *rest = commands(PAGE, "The database")
    lines = [
        install.replace("apt install", "apt-get install --yes"),
        *commands(PAGE, "A certificate"),
        f"{init} --password-file - <<<'{PASSWORD}'",
        *rest,
    ]
    return STORY.format(ready=READY, commands="\n".join(lines))


def entries(found: Kernel) -> Iterator[cpio.Entry]:
    """An initramfs that goes on to the disk."""
    yield cpio.file("init", INIT.encode(), 0o755)
    yield cpio.file("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
    yield cpio.link("bin/sh", "busybox")
    for name in ("dev", "mnt"):
        yield cpio.directory(name)
    order = load_order(found, MODULES, ("crc32c_generic",))
    for name, content in order:
        yield cpio.file(f"modules/{name}.ko", content)
    yield cpio.file("modules/order", "".join(f"{name}\n" for name, _ in order).encode())


def root_disk(base: Path, package: Path, directory: Path) -> Path:
    """The base's files and the story, as a file system."""
    root = directory / "root"
    run(["cp", "--archive", base, root])
    (root / "srv/build/deb").mkdir(parents=True)
    shutil.copy(package, root / "srv/build/deb")
    (root / "srv/story").write_text(story())
    (root / "srv/story").chmod(0o755)
    units = root / "etc/systemd/system"
    (units / "story.service").write_text(UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/story.service").symlink_to("../story.service")
    # Not a machine's first start, at which systemd enables what it likes.
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    image = directory / "root.img"
    run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "2G"], timeout_s=300)
    return image


@pytest.mark.vm
@pytest.mark.timeout(LIMIT_S + 300)
def test_systemd_runs_the_server_that_was_installed(
    base: Path, package: Path, tmp_path: Path
) -> None:
    found = kernel("6.1-cloud")
    (tmp_path / "initrd.img").write_bytes(cpio.archive(entries(found)))
    files = {"vmlinuz": found.image, "initrd.img": tmp_path / "initrd.img"}
    parts: list[Partition] = [Esp(files), Raw(root_disk(base, package, tmp_path))]
    disk = make_disk(tmp_path / "disk.img", parts)
    options = r"initrd=\initrd.img console=ttyS0,115200 quiet panic=-1 mitigations=off"
    firmware = ovmf.firmware()
    entry = boot_entry(disk, r"\vmlinuz", options)
    write_boot_entries(firmware.variables, tmp_path / "variables.fd", [entry])
    machine = Machine(
        firmware,
        variables=tmp_path / "variables.fd",
        cpus=2,
        memory_mib=1536,
        disks=(Disk(disk.path),),
    )
    with Vm(machine, tmp_path / "vm", limit_s=LIMIT_S) as vm:
        vm.expect_stage("server", "ready", within=LIMIT_S)
        vm.expect_stage("server", "again", within=LIMIT_S)
        vm.expect_stage("server", "story", within=LIMIT_S)
        assert vm.wait_exit(120) == "guest-shutdown"
