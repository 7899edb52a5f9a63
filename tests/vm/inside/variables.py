# SPDX-License-Identifier: Apache-2.0
"""What efivarfs lets a program do with the variables that are its arguments; prints it as JSON.

Each is <name>-<GUID>=<attributes to write it with>. Tried are: listed?, read, write, delete. The
answer holds the data read in hex, the errno of what failed, or "" for what was done.
"""

import errno
import json
import os
import sys
from collections.abc import Callable

from pykexec.efi.efivarfs import EFIVARFS, make_mutable
from pykexec.efi.guid import Guid
from pykexec.efi.variables import (
    Variable,
    VariableName,
    write_variable,
)


def attempt(action: Callable[[], str | None]) -> str:
    """What action returns, "" for None, or its errno."""
    try:
        return action() or ""
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def read(path: str) -> str:
    """Opens with O_CREAT: even a file that is not listed leads to the firmware's GetVariable."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return os.read(fd, 4096).hex()
    finally:
        os.close(fd)


def delete(path: str) -> None:
    """Of an inode that exists, so that the firmware's SetVariable is reached."""
    if not os.path.exists(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))
    make_mutable(path)
    os.unlink(path)


def probe(word: str, attributes: int) -> dict[str, object]:
    """All that is tried with one variable."""
    path = os.path.join(EFIVARFS, word)
    name = VariableName(word[:-37], Guid.parse(word[-36:]))
    changed = Variable(attributes, b"changed by Linux")
    listed = word in os.listdir(EFIVARFS)
    if listed:
        make_mutable(path)
    return {
        "listed": listed,
        "read": attempt(lambda: read(path)),
        "write": attempt(lambda: write_variable(name, changed)),
        "delete": attempt(lambda: delete(path)),
    }


answer = {}
for argument in sys.argv[1:]:
    word, _, attributes = argument.partition("=")
    answer[word[:-37]] = probe(word, int(attributes))
print(json.dumps(answer))
