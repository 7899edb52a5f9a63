# SPDX-License-Identifier: Apache-2.0
"""Event logs: parsed in Python, measured in C, both as if their author were an enemy."""

from __future__ import annotations

import hashlib
import random
import re
import struct
from pathlib import Path

import pytest

from pykexec._native import ffi, lib
from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.tpm.eventlog import (
    EventLogError,
    parse_event_log,
    replay,
    replayable_banks,
    unlogged_start,
)
from tests.support.samples_event_log import (
    AGILE_LOG,
    ENTRIES,
    IPL,
    LAST,
    NO_ACTION,
    SEPARATOR,
    SHA1,
    SHA1_LAST,
    SHA1_LOG,
    SHA256,
    SHA384,
    agile_entry,
    sha1_entry,
    spec_id,
)

SPEC = len(spec_id())
TOP32 = 0xFFFFFFFF


def size_of(log: bytes, last: int, agile: bool = True, capacity: int | None = None) -> int | None:
    found = ffi.new("u64 *", 77)
    room = len(log) if capacity is None else capacity
    if lib.pk_event_log_size(log, room, last, agile, found):
        return int(found[0])
    assert found[0] == 77
    return None


def patched(offset: int, layout: str, value: int, log: bytes = AGILE_LOG) -> bytes:
    data = bytearray(log)
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


def test_the_size_counts_the_last_entry() -> None:
    assert size_of(AGILE_LOG + b"what lies behind", LAST) == len(AGILE_LOG)
    assert size_of(SHA1_LOG + b"what lies behind", SHA1_LAST, agile=False) == len(SHA1_LOG)


def test_a_log_of_one_entry_has_a_size() -> None:
    assert size_of(spec_id(), 0) == SPEC
    assert size_of(sha1_entry(4, SEPARATOR, b"x"), 0, agile=False) == 33


@pytest.mark.parametrize(
    "last", [1, SPEC - 1, SPEC + 1, LAST - 1, LAST + 1, len(AGILE_LOG), 1 << 63]
)
def test_the_last_entry_must_begin_where_an_entry_begins(last: int) -> None:
    assert size_of(AGILE_LOG, last) is None


@pytest.mark.parametrize("size", range(len(AGILE_LOG)))
def test_a_log_that_is_cut_off_has_no_size(size: int) -> None:
    assert size_of(AGILE_LOG[:size], LAST) is None


SPOILT = {
    "no specification ID": patched(32, "<B", ord("X")),
    "specification ID event too short": sha1_entry(0, NO_ACTION, b"Spec ID Event03\0") + ENTRIES[0],
    "more algorithms than there are": spec_id(count=3) + ENTRIES[0],
    "more algorithms than anybody has": spec_id([SHA1] * 17) + ENTRIES[0],
    "algorithm count overflows": spec_id(count=TOP32) + ENTRIES[0],
    "digest size of 64 KiB": patched(SPEC - 3, "<H", 0xFFFF),
    "event of 4 GiB": patched(28, "<I", TOP32),
    "more digests than algorithms": patched(SPEC + 8, "<I", 3),
    "digest count overflows": patched(SPEC + 8, "<I", TOP32),
    "digest of an unknown algorithm": patched(SPEC + 12, "<H", SHA384),
    "last event of 4 GiB": patched(LAST + 12 + 22 + 34, "<I", TOP32),
}


@pytest.mark.parametrize("log", SPOILT.values(), ids=SPOILT)
def test_lies_of_a_log_are_found_by_both(log: bytes) -> None:
    assert size_of(log, SPEC if len(log) < len(AGILE_LOG) else LAST) is None
    if not log.startswith(patched(32, "<B", ord("X"))[:33]):  # Else it is one of SHA-1, to Python.
        with pytest.raises(EventLogError, match=r"event log: offset \d+: "):
            parse_event_log(log)


@pytest.mark.parametrize("size", [lib.PK_EVENT_MAX, lib.PK_EVENT_MAX + 1])
def test_one_event_is_bounded(size: int) -> None:
    log = spec_id() + agile_entry(9, IPL, bytes(size))
    assert (size_of(log, SPEC) is None) == (size > lib.PK_EVENT_MAX)


def test_a_whole_log_is_bounded() -> None:
    with pytest.raises(EventLogError, match="are too many"):
        parse_event_log(bytes(lib.PK_EVENT_LOG_MAX + 1))


def test_events_are_read_in_order() -> None:
    log = parse_event_log(AGILE_LOG)
    assert log.banks == ("sha1", "sha256")
    assert [(event.pcr, event.type) for event in log.events] == [
        (0, NO_ACTION),
        (0, NO_ACTION),
        (0, 8),
        (4, SEPARATOR),
        (9, IPL),
    ]
    last = log.events[-1]
    assert last.offset == LAST
    assert last.digests["sha256"] == hashlib.sha256(last.data).digest()


def test_digests_may_come_in_any_order_and_some_be_missing() -> None:
    usual, swapped, few = (
        parse_event_log(spec_id() + agile_entry(4, SEPARATOR, bytes(4), algorithms)).events[1]
        for algorithms in ((SHA1, SHA256), (SHA256, SHA1), (SHA256,))
    )
    assert swapped == usual
    assert few.digests == {"sha256": usual.digests["sha256"]}


def test_the_format_of_sha1_has_one_bank() -> None:
    log = parse_event_log(SHA1_LOG)
    assert (log.banks, [event.data for event in log.events]) == (("sha1",), [bytes(4), b"boot"])


def test_nothing_is_an_empty_log() -> None:
    assert parse_event_log(b"").events == ()


@pytest.mark.parametrize("size", set(range(1, len(AGILE_LOG))) - {SPEC})
def test_python_finds_every_truncation_inside_an_entry(size: int) -> None:
    ends = {SPEC + sum(map(len, ENTRIES[:n])) for n in range(len(ENTRIES))}
    if size not in ends:
        with pytest.raises(EventLogError, match="cut off"):
            parse_event_log(AGILE_LOG[:size])


@pytest.mark.parametrize(
    ("log", "fault"),
    [
        (spec_id([SHA1, SHA1]), "algorithm sha1"),
        (patched(SPEC - 3, "<H", 20), "sha256 of 20 bytes, not 32"),
        (spec_id([]), "0 digest algorithms"),
        (spec_id() + agile_entry(9, IPL, b"", [SHA256, SHA256]), "repeated kind sha256"),
        (spec_id() + agile_entry(24, IPL, b""), "there is no PCR 24"),
        (spec_id() + agile_entry(TOP32, IPL, b""), "there is no PCR"),
        (AGILE_LOG + b"\0", "cut off"),
    ],
)
def test_python_finds_what_makes_no_sense(log: bytes, fault: str) -> None:
    with pytest.raises(EventLogError, match=fault):
        parse_event_log(log)


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("log", [AGILE_LOG, SHA1_LOG], ids=["agile", "sha1"])
def test_padding_behind_a_log_is_told_with_its_event(log: bytes, fill: bytes) -> None:
    count = len(parse_event_log(log).events)
    fault = rf"offset {len(log)}: event {count}: no entry, but 4096 bytes of padding"
    with pytest.raises(EventLogError, match=fault):
        parse_event_log(log + fill * 4096)


def test_a_fault_names_the_event() -> None:
    with pytest.raises(EventLogError, match=rf"offset \d+: event 4: event of {TOP32} bytes"):
        parse_event_log(patched(LAST + 12 + 22 + 34, "<I", TOP32))


def test_an_event_without_action_needs_no_register() -> None:
    log = parse_event_log(spec_id() + agile_entry(TOP32, NO_ACTION, b"x"))
    assert replay(log, "sha256") == {}


@pytest.mark.parametrize("bank", ["sha1", "sha256"])
def test_replay_agrees_with_tpm2_eventlog(bank: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    # That of Debian 12 knows nothing of the locality of TPM2_Startup.
    path.write_bytes(data := b"".join([spec_id(), *ENTRIES[1:]]))
    text = run(["tpm2_eventlog", path], timeout_s=30).decode().partition("\npcrs:")[2]
    values = re.search(rf"{bank}:\n((?:    .*\n?)+)", text)
    assert values
    expected = {int(n): bytes.fromhex(v) for n, v in re.findall(r"(\d+) *: 0x(\w+)", values[1])}
    assert replay(parse_event_log(data), bank) == expected
    assert expected.keys() == {0, 4, 9}


def test_the_locality_of_startup_is_the_first_value_of_pcr_0() -> None:
    log = parse_event_log(spec_id() + ENTRIES[0])
    assert replay(log, "sha256") == {0: bytes(31) + b"\x03"}


def test_a_locality_after_the_first_measurement_counts_for_nothing() -> None:
    plain = spec_id() + ENTRIES[1]
    assert replay(parse_event_log(plain + ENTRIES[0]), "sha1") == replay(
        parse_event_log(plain), "sha1"
    )


@pytest.mark.parametrize("locality", [3, 4])
def test_where_pcr_0_began_is_told_by_its_value(locality: int) -> None:
    log = parse_event_log(spec_id() + ENTRIES[1])
    value = replay(log, "sha256", locality)[0]
    assert value != replay(log, "sha256")[0]
    assert unlogged_start(log, "sha256", value) == locality
    assert unlogged_start(log, "sha256", replay(log, "sha256")[0]) is None
    assert unlogged_start(log, "sha256", replay(log, "sha256", 1)[0]) is None


def test_a_digest_that_is_missing_is_an_error() -> None:
    log = parse_event_log(spec_id() + agile_entry(9, IPL, b"", [SHA1]))
    assert replay(log, "sha1").keys() == {9}
    with pytest.raises(EventLogError, match="no digest of sha256"):
        replay(log, "sha256")


def test_only_banks_of_the_log_are_replayed() -> None:
    with pytest.raises(FormatError, match="no digests of sha384, only of sha1, sha256"):
        replay(parse_event_log(AGILE_LOG), "sha384")
    assert replayable_banks(parse_event_log(spec_id([0x7777, SHA256]))) == ("sha256",)


@pytest.mark.parametrize("seed", range(300))
def test_noise_is_an_error_or_a_log_for_both_parsers(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(AGILE_LOG)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    try:
        parse_event_log(bytes(data))
    except EventLogError as error:
        assert 0 <= error.offset <= len(data)
    else:
        agile = data[32:48] == b"Spec ID Event03\0"
        assert not agile or size_of(bytes(data), LAST) == len(data)
