# SPDX-License-Identifier: Apache-2.0
"""No test expires: pytest with the clock a day back, a year and eleven years ahead.

    python -m tests.clocks -n 2 tests/unit

Eleven years stay below 2038, where some tools that tests compare with count in 32 bits. Time that
only passes (timeouts, sleeps) is left as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys

import libfaketime

SHIFTS = ("-1d", "+1y", "+11y")


def main(arguments: list[str]) -> int:
    """Run pytest once a clock; the first exit code that is not 0."""
    _, preload = libfaketime.get_reload_information()
    codes = []
    for shift in SHIFTS:
        print(f"clock {shift}", flush=True)
        junit = f"--junitxml=build/junit/clock{shift}.xml"
        command = [sys.executable, "-m", "pytest", junit, *arguments]
        codes.append(
            subprocess.run(command, env={**os.environ, **preload, "FAKETIME": shift}).returncode
        )
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
