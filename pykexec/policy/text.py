# SPDX-License-Identifier: Apache-2.0
"""Policies as TOML text, with comments, which no TOML library writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from pykexec.policy.clause import shown
from pykexec.policy.model import BANKS


def quoted(text: str) -> str:
    """A basic string: JSON's, but for DEL, which TOML wants escaped, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(values: Iterable[str]) -> str:
    """An array of strings, one a line if there are several."""
    words = [quoted(value) for value in values]
    if len(words) < 2:
        return f"[{', '.join(words)}]"
    return "".join(["[\n", *(f"    {word},\n" for word in words), "]"])


def banked(digests: Mapping[str, str]) -> str:
    """An inline table of digests by bank, those that a policy knows."""
    pairs = (f"{bank} = {quoted(digests[bank])}" for bank in BANKS if bank in digests)
    return f"{{ {', '.join(pairs)} }}"


def comment(text: str) -> str:
    """A comment line; text may be a stranger's."""
    return f"# {shown(text)}"


def image_lines(reference: Mapping[str, object], why: str) -> list[str]:
    """[[images]] of reference values (image/reference.py)."""
    lines = ["", comment(why), "[[images]]"]
    for key in ("name", "pykexec", "kernel", "cmdline", "sha256"):
        value = reference.get(key)
        if isinstance(value, str) and value:
            lines.append(f"{key} = {quoted(value)}")
    for key in ("authenticode", "pcr11"):
        value = reference.get(key)
        if isinstance(value, Mapping) and value:
            lines.append(f"{key} = {banked(value)}")
    sections = reference.get("sections")
    if isinstance(sections, Mapping) and sections:
        lines += [
            comment("only to tell where another image says that it differs"),
            "[images.sections]",
        ]
        lines += [f"{quoted(name)} = {banked(value)}" for name, value in sections.items()]
    return lines
