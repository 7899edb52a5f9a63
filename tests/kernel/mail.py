# SPDX-License-Identifier: Apache-2.0
"""What the kernel wants of a patch as a message: Documentation/process/submitting-patches.rst."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy

SUBJECT_MAX = 75
LINE_MAX = 75

_TAG = re.compile(r"^\[PATCH[^\]]*\]\s*")
_AREA = re.compile(r"^[\w/.,-]+(?: [\w/.,-]+)*: (?:[\w-]+: )*\S")
_TRAILER = re.compile(r"^[A-Z][\w-]+-by: |^(?:Link|Fixes|Closes|Cc): ")
# Only what a person cannot wrap may be longer: output that is quoted, an address.
_MAY_BE_LONG = re.compile(r"^\s{2,}|^>|https?://|^[A-Z][\w-]+: ")


@dataclass(frozen=True, slots=True)
class Mail:
    """The message of a patch: its subject without [PATCH], author, body up to the diff."""

    subject: str
    author: str
    body: list[str]


def parse(patch: bytes) -> Mail:
    """The message of a file that git format-patch wrote."""
    message = message_from_bytes(patch, policy=policy.default)
    text = message.get_content()
    body = text.partition("\n---\n")[0].strip().splitlines()
    return Mail(_TAG.sub("", message["Subject"]), str(message["From"]), body)


def faults(mail: Mail) -> list[str]:
    """What a maintainer would send the patch back for, before reading the code."""
    found = []
    if len(mail.subject) > SUBJECT_MAX:
        found.append(f"subject of {len(mail.subject)} characters")
    if not _AREA.match(mail.subject):
        found.append("subject names no area")
    if mail.subject.endswith("."):
        found.append("subject ends in a full stop")
    if not [line for line in mail.body if line and not _TRAILER.match(line)]:
        found.append("no body: why is this done?")
    if f"Signed-off-by: {mail.author}" not in mail.body:
        found.append(f"not signed off by {mail.author}")
    long = [line for line in mail.body if len(line) > LINE_MAX and not _MAY_BE_LONG.search(line)]
    return found + [f"long line: {line}" for line in long]
