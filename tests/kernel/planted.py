# SPDX-License-Identifier: Apache-2.0
"""Patches with faults, for tests of what looks for faults."""

from __future__ import annotations

import difflib
from pathlib import Path

_MAIL = """From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: A <a@example.com>
Date: Sun, 1 Nov 2026 00:00:00 +0000
Subject: [PATCH] efi: plant a fault

It is to be found.

Signed-off-by: A <a@example.com>
---
diff --git a/{name} b/{name}
{diff}"""


def appending(source: Path, name: str, lines: str, into: Path) -> Path:
    """A patch, written to into, that appends lines to the file called name of source."""
    before = (source / name).read_text().splitlines(keepends=True)
    after = before + lines.splitlines(keepends=True)
    diff = "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))
    into.write_text(_MAIL.format(name=name, diff=diff))
    return into
