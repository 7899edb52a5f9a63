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
GATE, FULL, RESTORED, KEPT = "gate", "full switches only", "at the end", "never"
"""When a register that Linux set has the firmware's value again."""

COMMON = {
    "kvm.system_time": RESTORED,
    "kvm.async_pf": RESTORED,
    "kvm.steal_time": RESTORED,
    "kvm.eoi": RESTORED,
    "sysenter_eip": RESTORED,
    "tsc_aux": RESTORED,
    "tsc_adjust": RESTORED,
    "mtrr_def_type": RESTORED,
    # Nobody writes them: compared.
    "mtrr.fixed": KEPT,
    "mtrr.variable": KEPT,
    "spec_ctrl": RESTORED,
    "xss": RESTORED,
    "u_cet": RESTORED,
    "s_cet": RESTORED,
    "pl3_ssp": RESTORED,
}
EVERYBODY = {
    "debugctl": GATE,
    "dr0": RESTORED,
    "dr3": RESTORED,
    "dr6": RESTORED,
    "dr7": GATE,
}
INTEL = {
    "rtit_ctl": GATE,
    "perf_global_ctrl": GATE,
    "test_ctrl": GATE,
    "hw_feedback_config": RESTORED,
    "hw_feedback_ptr": RESTORED,
    "pebs_enable": RESTORED,
    "ds_area": RESTORED,
    "umwait_control": RESTORED,
    "tsx_force_abort": RESTORED,
    "tsx_ctrl": RESTORED,
    "mcu_opt_ctrl": RESTORED,
    "energy_perf_bias": RESTORED,
    "therm_interrupt": RESTORED,
    "pkg_therm_interrupt": RESTORED,
    "hwp_request": RESTORED,
    "pqr_assoc": RESTORED,
    "l3_mask": RESTORED,
    "l2_mask": RESTORED,
    "mba_throttling": RESTORED,
    "xfd": RESTORED,
    "pkrs": RESTORED,
    "misc_features": RESTORED,
    "power_ctl": RESTORED,
    "pkg_cst_config": RESTORED,
    "misc_enable": RESTORED,
    # Nothing undoes them before reset.
    "feat_ctl": KEPT,
    "pm_enable": KEPT,
}
WITHOUT_HWP = {name: INTEL[name] for name in INTEL if name != "hwp_request"}
AMD = {
    "ibs_fetch_ctl": GATE,
    "ibs_op_ctl": GATE,
    "virt_spec_ctrl": RESTORED,
    "cppc_request": RESTORED,
    "hwcr": RESTORED,
    "ls_cfg": RESTORED,
    "de_cfg": KEPT,
    "syscfg": KEPT,
    "cppc_enable": KEPT,
}


@pytest.fixture(scope="module", name="machine")
def machine_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("machine") / "machine"
    sources = [HERE / "machine/machine.c", *(CSRC / "stub/gate").glob("state*.c")]
    run(["gcc", *FLAGS, "-o", program, *sources], timeout_s=60)
    return program


def decision(values: list[int]) -> str:
    """What is done about a register, by the values that were seen."""
    firmware, own, lean, after_lean, full, after_full, end = values
    assert (after_lean, after_full) == (own, own), "Linux finds its own"
    return {
        (firmware, firmware, firmware): GATE,
        (own, firmware, firmware): FULL,
        (own, own, firmware): RESTORED,
        (own, own, own): KEPT,
    }[lean, full, end]


@pytest.mark.parametrize(
    ("vendor", "has", "expected"),
    [
        (
            "intel",
            "all",
            {**EVERYBODY, **COMMON, **INTEL, "lvt_pmc": FULL},
        ),
        ("intel", "no-hwp", {**EVERYBODY, **COMMON, **WITHOUT_HWP, "lvt_pmc": FULL}),
        ("amd", "all", {**EVERYBODY, **COMMON, **AMD, "lvt_pmc": GATE}),
        ("intel", "bare", {**EVERYBODY, "misc_enable": RESTORED, "lvt_pmc": GATE}),
        ("amd", "bare", {**EVERYBODY, "lvt_pmc": GATE}),
    ],
)
def test_each_register_that_linux_changes_is_decided(
    vendor: str, has: str, expected: dict[str, str], machine: Path
) -> None:
    lines = [line.split() for line in run([machine, vendor, has]).decode().splitlines()]
    seen = {name: decision([int(value, 16) for value in values]) for name, *values in lines}
    assert seen == expected


LAM_U57, LAM_U48, LAM_SUP = 1 << 61, 1 << 62, 1 << 28
ENCRYPTED, CET = 1 << 51, 1 << 23
CR3, CR4 = 0x7FC01000, 0x668


@pytest.mark.parametrize(
    ("of_cr3", "of_cr4", "told"),
    [
        (0, 0, []),
        (LAM_U48, 0, [f"cr3 {CR3:x} {CR3 | LAM_U48:x}"]),
        (LAM_U57, LAM_SUP, [f"cr3 {CR3:x} {CR3 | LAM_U57:x}", f"cr4 {CR4:x} {CR4 | LAM_SUP:x}"]),
        (ENCRYPTED, 0, [f"cr3 {CR3:x} {CR3 | ENCRYPTED:x}"]),
        (0, CET, [f"cr4 {CR4:x} {CR4 | CET:x}"]),
    ],
)
def test_each_bit_of_a_control_register_is_compared(
    of_cr3: int, of_cr4: int, told: list[str], machine: Path
) -> None:
    """Masked addresses, encrypted page tables, protected branches of the other world's."""
    found = run([machine, "intel", f"{of_cr3:x}", f"{of_cr4:x}"]).decode().splitlines()
    assert found == told


def test_functions_that_are_too_many_to_watch_are_told(machine: Path) -> None:
    said = run([machine, "amd", "crowded"]).decode().splitlines()
    assert said[0] == "pykexec: of 8192 PCI functions 1024 are watched"
