# SPDX-License-Identifier: Apache-2.0
"""Registers that a firmware must not run with are its own in its world, and Linux' in Linux'."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.run import run

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"
FLAGS = (
    *("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fshort-wchar"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    f"-I{HERE / 'machine'}",  # before the stub's own: it has the instructions
    *(f"-I{CSRC}", f"-I{CSRC / 'include'}"),
)
# Of each as Linux left it: is it the firmware's in a lean switch, in a full one?
INTEL = {
    "rtit_ctl": (True, True),
    "perf_global_ctrl": (True, True),
    "test_ctrl": (True, True),
    "debugctl": (True, True),
    "dr0": (False, False),
    "dr3": (False, False),
    "dr6": (False, False),
    "dr7": (True, True),
    "lvt_pmc": (False, True),
}
AMD = {
    "debugctl": (True, True),
    "ibs_fetch_ctl": (True, True),
    "ibs_op_ctl": (True, True),
    "dr0": (False, False),
    "dr3": (False, False),
    "dr6": (False, False),
    "dr7": (True, True),
    "lvt_pmc": (True, True),
}


@pytest.fixture(scope="module", name="machine")
def machine_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("machine") / "machine"
    sources = [HERE / "machine/machine.c", *(CSRC / "stub/gate").glob("state*.c")]
    run(["gcc", *FLAGS, "-o", program, *sources], timeout_s=60)
    return program


@pytest.mark.parametrize(("vendor", "switched"), [("intel", INTEL), ("amd", AMD)])
def test_what_must_not_act_in_the_firmwares_world_is_switched(
    vendor: str, switched: dict[str, tuple[bool, bool]], machine: Path
) -> None:
    lines = [line.split() for line in run([machine, vendor]).decode().splitlines()]
    seen = {name: [int(value, 16) for value in values] for name, *values in lines}
    assert {name: (not v[0], not v[2]) for name, v in seen.items()} == switched
    assert [name for name, v in seen.items() if not v[1] or v[1] != v[3]] == []
    assert [name for name, v in seen.items() if v[4]] == []
