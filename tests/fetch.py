# SPDX-License-Identifier: Apache-2.0
"""Downloads what a target of the Makefile needs: python -m tests.fetch units, demo, windows, tests
or matrix.

archive, instead, says where from.
"""

from __future__ import annotations

import logging
import sys

from pykexec.errors import PykexecError
from pykexec.vm import apt, packages


def _archive() -> None:
    print(apt.archive())


_FETCH = {
    "units": packages.fetch_for_units,
    "demo": packages.fetch_for_demo,
    "windows": packages.fetch_for_windows,
    "tests": packages.fetch_for_tests,
    "matrix": packages.fetch_for_matrix,
    "archive": _archive,
}


def main(name: str) -> int:
    """Download, and tell in a line what cannot be had."""
    logging.basicConfig(level="INFO", format="%(message)s")
    try:
        _FETCH[name]()
    except PykexecError as error:
        print(f"pykexec: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
