# SPDX-License-Identifier: Apache-2.0
"""The kernel's own unit tests of the series, loaded as modules in a machine."""

from __future__ import annotations

import re
from pathlib import Path

from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.vm import kernels
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from tests.kernel.ktap import Report, parse
from tests.kernel.native import KERNEL, MARKS
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with, with_entries

pytestmark = MARKS

KERNEL_PATH, INITRD_PATH = r"\vmlinuz", r"\initrd.img"

SUITE = """\
KTAP version 1
1..1
    KTAP version 1
    # Subtest: suite
    # module: suite_test
    1..3
    ok 1 first
        KTAP version 1
        # Subtest: second
        ok 1 one
        ok 2 another
    ok 2 second
    # third: EXPECTATION FAILED
    ok 3 third # SKIP no such machine
# suite: pass:2 fail:0 skip:1 total:3
ok 1 suite
"""


def test_results_are_read_at_every_depth() -> None:
    report = parse(SUITE.splitlines())
    assert report.passed == ["first", "one", "another", "second", "suite"]
    assert (report.failed, report.skipped, report.missing) == ([], ["third"], [])


def test_a_failure_is_one() -> None:
    text = SUITE.replace("    ok 2 second", "    not ok 2 second")
    assert parse(text.splitlines()).failed == ["second"]


def test_a_result_that_did_not_come_is_missed() -> None:
    text = SUITE.replace("    ok 1 first\n", "")
    assert parse(text.splitlines()).missing == ["suite: 2 of 3 results"]
    cut = SUITE[: SUITE.index("# suite: pass")]
    assert parse(cut.splitlines()).missing == ["end: 0 of 1 results"]


def unit_test_modules() -> tuple[str, ...]:
    """The kernel's modules that need kunit."""
    found = []
    for path in kernels.kernel(KERNEL).modules.rglob("*.ko"):
        depends = re.search(rb"\0depends=([^\0]*)\0", b"\0" + path.read_bytes())
        if depends and b"kunit" in depends[1].split(b","):
            found.append(path.stem.replace("-", "_"))
    return tuple(sorted(found))


def ordinary(directory: Path, image: Path) -> Machine:
    """A machine that boots the kernel and initramfs of image by the kernel's own EFI stub."""
    parts = images.sections(image)
    files = {KERNEL_PATH[1:]: parts[".linux"], INITRD_PATH[1:]: parts[".initrd"]}
    disk = make_disk(directory / "ordinary.img", [Esp(files)])
    entry = boot_entry(disk, KERNEL_PATH, rf"initrd={INITRD_PATH} {DEFAULT_CMDLINE}")
    return with_entries(Machine(firmware()), directory, disk, [entry])


def run_tests(guest: Guest, names: tuple[str, ...]) -> dict[str, Report]:
    """The report of each module; nothing in it failed or is missing."""
    said = guest.ready().script("kunit", *names, within=120)
    reports = {name: parse(lines) for name, lines in said.items()}
    for report in reports.values():
        assert report == Report(passed=report.passed, skipped=report.skipped)
    return reports


def test_all_of_the_kernels_own_tests_pass(boot: Boot, tmp_path: Path) -> None:
    """Some want no boot services that are alive, others want them: none may be skipped twice."""
    names = unit_test_modules()
    assert names
    chosen = images.image(KERNEL, modules=names)
    alive = run_tests(Guest(boot(machine_with(tmp_path, firmware(), chosen))), names)
    without = run_tests(Guest(boot(ordinary(tmp_path, chosen))), names)
    for name in names:
        assert alive[name].passed or without[name].passed
        assert not set(alive[name].skipped) & set(without[name].skipped)
