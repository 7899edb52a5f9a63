# SPDX-License-Identifier: Apache-2.0
"""Bridges that are killed at random under load: no error reaches a disk's user, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.run import run
from pykexec.vm.disk import Ext4, make_disk
from tests.vm.boot import Boot
from tests.vm.guest import Guest
from tests.vm.test_block import ENV, extract, machine, up, virtio, wait_for
from tests.vm.ways import NEWEST, STOCK, Way

CHAOS_S = int(os.environ.get("CHAOS_SECONDS", "40"))
"""How long bridges are killed: `make matrix CHAOS_SECONDS=600 PYTEST_ARGS="-k chaos"`."""
SEED = int(os.environ.get("CHAOS_SEED", "1"))
PAGE = 4096

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(CHAOS_S * 4 + 600)]


@pytest.mark.parametrize("way", [*STOCK, NEWEST], ids=str)
def test_no_disk_sees_an_error_and_nothing_that_was_synced_is_lost(
    way: Way, boot: Boot, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.img" for name in ("one", "two", "three")]
    for path in paths:
        make_disk(path, [Ext4({"marker": b"x"}, label=path.stem)])
    extras = [virtio(path.stem, path, 0x10 + n) for n, path in enumerate(paths)]
    vm = boot(machine(tmp_path, way, extras), limit_s=CHAOS_S * 4 + 300)
    guest = Guest(vm).ready()
    up(guest)
    for path in paths:
        name = path.stem
        guest.ok(f"mkdir -p /m/{name} && mount -t ext4 /dev/disk/by-label/{name} /m/{name}")
    mounted = {f"/m/{path.stem}": path for path in paths}

    results = guest.script("chaos", CHAOS_S, SEED, *mounted, within=CHAOS_S * 3 + 120)

    assert results.pop("nr_killed") >= CHAOS_S // 10
    assert {name: result["errors"] for name, result in results.items()} == {
        name: [] for name in mounted
    }
    assert guest.run("dmesg | grep -i -e 'I/O error' -e 'EXT4-fs error' -e 'aborted'").output == ""
    # Those that were killed last come up again, too.
    wait_for(guest, "! pykexec bridge status | grep -q -e failed -e starting", within=60)
    vm.kill()
    for name, path in mounted.items():
        assert lost(path, results[name]["synced"]) == []


def lost(disk: Path, synced: dict[str, tuple[int, int]]) -> list[str]:
    """Files of a disk whose power was cut that do not have what was written and synced last."""
    file_system = extract(disk)
    # The journal is replayed, as Linux would.
    run(["e2fsck", "-fy", file_system], env=ENV, timeout_s=60, success=(0, 1))
    wrong = []
    for slot, (index, size) in synced.items():
        data = run(["debugfs", "-R", f"cat /{slot}", file_system], env=ENV, timeout_s=60)
        if data != content(slot, index, size):
            wrong.append(f"{disk.stem}/{slot}")
    return wrong


def content(slot: str, index: int, size: int) -> bytes:
    """What tests/vm/inside/chaos.py wrote."""
    return b"".join(
        f"{slot} {index} {page}\n".encode().ljust(PAGE, b".") for page in range(size // PAGE)
    )
