# SPDX-License-Identifier: Apache-2.0
"""The kernel's own unit tests of the series, loaded as modules in a machine."""

from __future__ import annotations

import re
from pathlib import Path

from pykexec.vm import kernels
from pykexec.vm.ovmf import firmware
from tests.kernel.ktap import Report, parse
from tests.kernel.native import KERNEL, MARKS
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image

pytestmark = MARKS

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


def test_all_of_the_kernels_own_tests_pass(boot: Boot, tmp_path: Path) -> None:
    names = unit_test_modules()
    assert names
    chosen = image(KERNEL, modules=names)
    guest = Guest(boot(machine_with(tmp_path, firmware(), chosen))).ready()
    said = guest.script("kunit", *names, within=120)
    reports = {name: parse(lines) for name, lines in said.items()}
    for report in reports.values():
        assert report == Report(passed=report.passed)
        assert report.passed
