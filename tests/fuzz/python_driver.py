# SPDX-License-Identifier: Apache-2.0
"""Fuzzes a target by coverage: python -m tests.fuzz.python_driver TARGET, options of libFuzzer."""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Never returns; libFuzzer ends the process."""
    # To the end: much is imported when it is first needed, and Python has parsers of its own.
    with atheris.instrument_imports(include=["pykexec", "http", "tomllib", "email"]):
        from tests.fuzz.targets import target_of

        atheris.Setup([sys.argv[0], *sys.argv[2:]], target_of(sys.argv[1]))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
