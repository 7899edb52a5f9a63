# SPDX-License-Identifier: Apache-2.0
"""Nothing takes foreign bytes apart that no fuzzer tears at."""

from __future__ import annotations

from functools import cache

import pytest

from tests.fuzz.inventory import OURS, decoders, reached
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.fuzz


@cache
def all_reached() -> set[str]:
    return reached(TARGETS.values())


def test_what_takes_foreign_bytes_apart_is_reached_by_a_target() -> None:
    assert sorted(decoders() - all_reached() - set(OURS)) == []


def test_what_is_said_to_be_ours_is_there_and_reached_by_none() -> None:
    assert sorted(set(OURS) - decoders()) == []
    assert sorted(set(OURS) & all_reached()) == []


@pytest.mark.parametrize(
    ("target", "parser"),
    [
        ("dhcp", "net.dhcp_packet.parse_packet"),
        ("firmware-answer", "firmware.handoff.parse_handoff"),
    ],
)
def test_a_parser_without_a_target_is_named(target: str, parser: str) -> None:
    assert parser in decoders() - reached([TARGETS["url"]]) - set(OURS)
    assert parser in reached([TARGETS[target]])
