# SPDX-License-Identifier: Apache-2.0
"""A short run of every fuzzer; FUZZ_SECONDS of the processor, for all together, make it a long one.

Long runs keep what they find in build/fuzz, where the next one goes on, and watch the coverage of
Python with atheris; short ones spoil Python's inputs without it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from tests.fuzz.conftest import Record
from tests.fuzz.run import (
    DRIVERS,
    HANGING,
    PLANTED,
    ROOT,
    build,
    build_common,
    fuzz,
    fuzz_python,
    try_python,
)
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.fuzz

LONG = float(os.environ.get("FUZZ_SECONDS", 0))
# In short runs a second is for a driver, less for a target: there are more of them.
DRIVER_S = LONG / (len(DRIVERS) + len(TARGETS)) or 1.0
TARGET_S = DRIVER_S if LONG else 0.4


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_common(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return (ROOT / "build/fuzz" if LONG else tmp_path) / "corpus"


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_input_breaks_a_promise(
    driver: str, archive: Path, corpus: Path, record: Record
) -> None:
    record(fuzz(build(driver, archive), DRIVER_S, corpus / driver))


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_gives_anything_but_a_result_or_a_refusal(
    name: str, corpus: Path, record: Record
) -> None:
    record(fuzz_python(name, TARGET_S, corpus / name) if LONG else try_python(name, TARGET_S))


@pytest.mark.parametrize("name", TARGETS)
def test_no_seed_is_refused(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].parse(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_to_be_refused_is(name: str) -> None:
    for data in TARGETS[name].refused():
        with pytest.raises(TARGETS[name].refusals):
            TARGETS[name].parse(data)


def test_the_fuzzer_finds_a_planted_fault(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="AddressSanitizer: heap-buffer-overflow"):
        fuzz(build(PLANTED, archive), 20, tmp_path / "corpus")


def test_a_planted_fault_in_python_is_found(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        fuzz_python(PLANTED, 60, tmp_path / "corpus") if LONG else try_python(PLANTED, 20)
    assert caught.value.__notes__[0].startswith("planted: 504b")


@pytest.mark.parametrize(
    ("how", "fault"), [(b"l", r"no end after \d+ s"), (b"w", r"waits for \d+ s")]
)
def test_an_input_that_hangs_is_found(
    how: bytes, fault: str, archive: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "kept").write_bytes(how)
    with pytest.raises(ToolError, match=fault):
        fuzz(build(HANGING, archive), 20, corpus, input_s=1)
    (input_,) = tmp_path.glob("hanging-timeout-*")
    assert input_.read_bytes() == how


def test_an_input_that_is_slow_by_the_clock_alone_is_none(archive: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "kept").write_bytes(b"s")
    assert fuzz(build(HANGING, archive), 0.01, corpus, input_s=1).slow == 1
