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
from tests.support import oidc_provider


def _archive() -> None:
    print(apt.archive())


def _for_units() -> None:
    packages.fetch_for_units()
    oidc_provider.fetch()


_FETCH = {
    "units": _for_units,
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
