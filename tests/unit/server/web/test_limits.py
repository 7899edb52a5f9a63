# SPDX-License-Identifier: Apache-2.0
"""Token buckets, counters of many workers, and shapes that say the same twice."""

from __future__ import annotations

import os
from collections.abc import Callable

import jsonschema_rs
import pytest

from pykexec.attest.fields import ProtocolError
from pykexec.server.web import record_shapes
from pykexec.server.web.limits import Limiter, Rate, peer_key
from pykexec.server.web.metrics import SERIES_MAX, Metrics
from pykexec.server.web.shapes import (
    Flag,
    Integer,
    ListOf,
    MapOf,
    Nullable,
    Record,
    Shape,
    Tagged,
    Text,
)

RATE = Rate(2, 3)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def clock_fixture() -> Clock:
    return Clock()


def test_a_bucket_holds_its_burst_and_fills_up_again(clock: Clock) -> None:
    limiter = Limiter(clock)
    assert [limiter.take("a", "peer", RATE) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [limiter.take("a", "peer", RATE) for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [limiter.take("a", "peer", RATE) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_bucket_is_of_one_peer_and_one_limit(clock: Clock) -> None:
    limiter = Limiter(clock)
    for _ in range(3):
        limiter.take("a", "peer", RATE)
    waits = [limiter.take(*which, RATE) > 0 for which in (("a", "b"), ("b", "peer"), ("a", "peer"))]
    assert waits == [False, False, True]


def test_no_rate_is_no_limit(clock: Clock) -> None:
    limiter = Limiter(clock)
    assert not any(limiter.take("a", "peer", Rate(0, 1)) for _ in range(100))


def test_many_strangers_do_not_need_more_memory_nor_free_the_one(clock: Clock) -> None:
    limiter = Limiter(clock)
    limiter.take("a", "peer", Rate(0.001, 1))
    for number in range(2000):
        clock.now += 1e-6
        limiter.take("a", f"stranger {number}", RATE)
    assert limiter.take("a", "peer", Rate(0.001, 1)) > 0


def test_forked_workers_share_their_buckets() -> None:
    limiter = Limiter()
    pid = os.fork()
    if not pid:
        for _ in range(3):
            limiter.take("a", "peer", Rate(0.001, 3))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert limiter.take("a", "peer", Rate(0.001, 3)) > 0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_what_one_customer_has_is_one_peer(address: str, key: str) -> None:
    assert peer_key(address) == key


def test_all_workers_figures_are_told_by_any() -> None:
    metrics = Metrics(2)
    pid = os.fork()
    if not pid:
        metrics.attach(1)
        metrics.count("pykexec_logins_total", result="accepted")
        metrics.publish()
        os._exit(0)
    os.waitpid(pid, 0)
    metrics.attach(0)
    metrics.count("pykexec_logins_total", result="accepted")
    assert 'pykexec_logins_total{result="accepted"} 2\n' in metrics.render()
    metrics.attach(1)  # In the place of one that died.
    metrics.count("pykexec_logins_total", result="accepted")
    assert 'pykexec_logins_total{result="accepted"} 3\n' in metrics.render()


def test_a_histogram_counts_upwards() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.03, 0.03, 99):
        metrics.observe("pykexec_request_seconds", seconds, route="x")
    text = metrics.render([("pykexec_ready", {}, 1.0)])
    for line in (
        'pykexec_request_seconds_bucket{route="x",le="0.001"} 1',
        'pykexec_request_seconds_bucket{route="x",le="0.025"} 1',
        'pykexec_request_seconds_bucket{route="x",le="0.05"} 3',
        'pykexec_request_seconds_bucket{route="x",le="10"} 3',
        'pykexec_request_seconds_bucket{route="x",le="+Inf"} 4',
        'pykexec_request_seconds_count{route="x"} 4',
        "pykexec_ready 1",
    ):
        assert f"{line}\n" in text


def test_labels_are_escaped_and_series_do_not_grow_for_ever() -> None:
    metrics = Metrics()
    metrics.count("pykexec_findings_total", code='a"b\\c\nd')
    for number in range(2 * SERIES_MAX):
        metrics.count("pykexec_findings_total", code=str(number))
    text = metrics.render()
    assert 'code="a\\"b\\\\c\\nd"' in text
    assert text.count("pykexec_findings_total{") == SERIES_MAX + 1
    assert f'code="other"}} {SERIES_MAX + 1}\n' in text


SHAPES: list[tuple[Shape, object, bool]] = [
    (Text(3), "abc", True),
    (Text(3), "abcd", False),
    (Text(3), 1, False),
    (Text(3, size_min=1), "", False),
    (Text(9), "a\0", False),
    (Text(9, "a|b"), "b", True),
    (Text(9, "a|b"), "ab", False),
    (Text(9, "a"), "a\n", False),
    (Text(9, choices=("a", "b")), "c", False),
    (Integer(1, 3), 3, True),
    (Integer(1, 3), 4, False),
    (Integer(1, 3), True, False),
    (Integer(1, 3), "2", False),
    (Flag(), 1, False),
    (ListOf(Flag(), 1), [True], True),
    (ListOf(Flag(), 1), [True, True], False),
    (ListOf(Flag(), 1), {}, False),
    (MapOf(Text(1), Flag(), 1), {"a": True}, True),
    (MapOf(Text(1), Flag(), 1), {"ab": True}, False),
    (MapOf(Text(1), Flag(), 1), {"a": True, "b": True}, False),
    (Record({"a": Flag()}), {"a": True}, True),
    (Record({"a": Flag()}), {}, False),
    (Record({"a": Flag()}), {"a": True, "b": 1}, False),
    (Record({}, {"a": Flag()}), {}, True),
    (Nullable(Flag()), None, True),
    (Nullable(Flag()), 1, False),
    (Tagged("t", {"x": Record({"a": Flag()}), "y": Record({})}), {"t": "x", "a": True}, True),
    (Tagged("t", {"x": Record({"a": Flag()}), "y": Record({})}), {"t": "y", "a": True}, False),
    (Tagged("t", {"x": Record({"a": Flag()}), "y": Record({})}), {"t": "z"}, False),
    (Tagged("t", {"x": Record({})}), {}, False),
    (record_shapes.TITLE, "B\u00fcro \u4e2d", True),
    (record_shapes.TITLE, "\u202e", False),
    (record_shapes.TITLE, "\x85", False),
    (Text(9, record_shapes.BASE64URL), "AAB", False),
    (Text(9, record_shapes.BASE64URL), "AB", False),
    (Text(9, record_shapes.BASE64URL), "AAAA", True),
    (Text(9, record_shapes.BASE64URL), "AQ", True),
]


@pytest.mark.parametrize(("shape", "value", "good"), SHAPES)
def test_reading_and_schema_agree(shape: Shape, value: object, good: bool) -> None:
    assert jsonschema_rs.validator_for(shape.schema()).is_valid(value) == good
    assert _reads(lambda: shape.read(value, "x")) == good


@pytest.mark.parametrize("text", ["", "01", "+1", "1.0", "1e1", "\u0661", "1" * 30])
def test_a_number_of_a_query_has_one_way_to_be_written(text: str) -> None:
    with pytest.raises(ProtocolError):
        Integer().read_text(text, "x")


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except ProtocolError:
        return False
    return True
