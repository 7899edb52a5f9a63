# SPDX-License-Identifier: Apache-2.0
"""What is on disks: partition tables and file systems, as far as we read and write them."""

from __future__ import annotations

from collections.abc import Callable

Reader = Callable[[int, int], bytes]
"""Reads (offset, size) of a disk or file; fewer bytes come where it ends."""
