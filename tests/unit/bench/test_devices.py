# SPDX-License-Identifier: Apache-2.0
"""The benchmark of devices: lines of the tools become rates, rates become ratios and goals."""

from __future__ import annotations

import pytest

from tests.bench.devices import Devices, Idle, by_work
from tests.bench.devices_report import POLLING_BITS, rows, share, summary
from tests.bench.facts import number, text
from tests.bench.worlds import Work, World, parse

TSC_KHZ = 1_000_000  # a tick is a nanosecond
READ_MIB = Work("virtio", False, 1 << 20, 1)
WRITE_RANDOM = Work("ahci", True, 4096, 32)

PRINTED = """\
BENCH:block:0:0:100000:1:40:3b9aca00
BENCH:block:0:0:100000:1:40:77359400
BENCH:block:0:0:100000:1:40:1dcd6500
BENCH:block:1:1:1000:20:7d0:3b9aca00
PK:stub:start:0
BENCH:udp-out:64:32:3b9aca00
BENCH:udp-in:64:0:3b9aca00
BENCH:tcp-out:1e848:3b9aca00
BENCH:ping:2710:1:f4240:1e8480:2dc6c0
BENCH:tpm:0:32:5f5e100
BENCH:cost:0:100000:3b9aca00
BENCH:end:0
"""


def test_rates_are_those_of_the_best_round_by_the_tsc() -> None:
    world = parse(PRINTED, TSC_KHZ)
    assert world == World(
        blocks={READ_MIB: 128.0, WRITE_RANDOM: 2000.0},
        frames={"out": 50.0, "in": 100.0},
        lost={"out": 0.5, "in": 0.0},
        tcp={"out": 1e6},
        pings={10000: 2.0},
        tpm={"GetRandom": 2.0},
        costs={"kernel to user": 1 << 20},
    )


def test_nothing_printed_is_nothing_measured() -> None:
    assert parse("BENCH:end:0\n", TSC_KHZ) == EMPTY


EMPTY = World({}, {}, {}, {}, {}, {}, {})
IDLE = Idle(
    guest=0.04, bridges={"net": 0.03, "block": 0.025}, switches_per_s=20, qemu=0.1,
    qemu_without=0.06, guest_without=0.01,
)  # fmt: skip
COUNTS = by_work(
    [{"disk": 1, "write": True, "size": 4096, "depth": 32, "bells": 0.05, "changes": 0.5}]
)


def devices(bridge: World, application: World = EMPTY, native: World = EMPTY) -> Devices:
    return Devices("max", "tsc", "6.1", bridge, EMPTY, application, native, IDLE, COUNTS)


def blocks(work: Work, rate: float) -> World:
    return World({work: rate}, {}, {}, {}, {}, {}, {})


@pytest.mark.parametrize(
    ("work", "bridge", "application", "verdict"),
    [
        (READ_MIB, 90.0, 100.0, ">= 0.90: met"),
        (READ_MIB, 89.0, 100.0, ">= 0.90: MISSED"),
        (WRITE_RANDOM, 500.0, 1000.0, ">= 0.50: met"),
        (WRITE_RANDOM, 499.0, 1000.0, ">= 0.50: MISSED"),
    ],
)
def test_disks_are_measured_against_one_request_at_a_time(
    work: Work, bridge: float, application: float, verdict: str
) -> None:
    direct = Work(work.disk, work.write, work.size, 1)
    found = devices(blocks(work, bridge), blocks(direct, application), blocks(work, 2 * bridge))
    row = list(rows(found))[1]
    assert (row[4], row[6], row[7]) == (f"{bridge / application:.2f}", "0.50", verdict)
    assert summary(found) == {str(work): bridge / application}


@pytest.mark.parametrize(
    ("bits", "verdict"), [(121.2e6, ">= 10 x polling, is 10.0 x: met"), (121.1e6, "MISSED")]
)
def test_ten_frames_every_ten_milliseconds_are_12_megabits(bits: float, verdict: str) -> None:
    assert POLLING_BITS == pytest.approx(12.112e6)
    row = list(rows(devices(World({}, {}, {}, {"in": bits}, {}, {}, {}))))[1]
    assert row[0] == "TCP in"
    assert row[7].endswith(verdict)


@pytest.mark.parametrize(("ms", "verdict"), [(2.9, "< 3 ms: met"), (3.0, "< 3 ms: MISSED")])
def test_a_ping_is_shorter_than_three_milliseconds(ms: float, verdict: str) -> None:
    row = list(rows(devices(World({}, {}, {}, {}, {10000: ms}, {}, {}))))[1]
    assert (row[0], row[7]) == ("ping, every 10 ms", verdict)


def test_idle_is_the_sum_of_bridges_and_what_the_machine_does_more() -> None:
    found = {row[0]: (row[1], row[7]) for row in rows(devices(EMPTY))}
    assert found["idle: processes of the bridges"] == ("5.5%", "< 5%: MISSED")
    assert found["idle: guest"] == ("4.0%", "< 5% more: met")
    assert found["idle: QEMU"] == ("10.0%", "< 5% more: met")


@pytest.mark.parametrize(("one", "other"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_what_was_not_measured_has_no_ratio(one: float | None, other: float | None) -> None:
    assert share(one, other) is None


def test_numbers_come_from_the_header() -> None:
    assert number("BENCH_AREA_SIZE") == 128 << 20
    assert text("BENCH_DISK_MAGIC") == "pykexec scratch disk "


def test_what_a_request_takes_is_told_by_work() -> None:
    told = next(row for row in rows(devices(EMPTY)) if "a request" in row[0])
    assert [cell for cell in told if cell] == [
        f"  {WRITE_RANDOM}: a request",
        "0.050 bells",
        "0.50 changes of processes",
    ]
