# SPDX-License-Identifier: Apache-2.0
"""python -m pykexec: the command line."""

import sys

from pykexec.cli import main

sys.exit(main())
