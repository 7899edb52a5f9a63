# SPDX-License-Identifier: Apache-2.0
"""How properties are looked for: the same examples each time, as long as they take, none kept."""

from __future__ import annotations

from hypothesis import settings

PROPERTY = settings(deadline=None, derandomize=True, database=None, max_examples=40)
