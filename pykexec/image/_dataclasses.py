# SPDX-License-Identifier: Apache-2.0
"""Run by the interpreter that is shipped (-I -S): which texts do our dataclasses have compiled?

The standard library writes the methods of each as text, and compiles that whenever the class is
made: most of what our imports cost. Arguments: directories to import from and modules, both
separated by commas. Output: for each text its size (8 bytes, little-endian) and the text, in UTF-8.
"""

import builtins
import dataclasses
import sys

texts: set[str] = set()


def record(text: str, *scopes: dict[str, object]) -> None:
    """The library's exec()."""
    texts.add(text)
    builtins.exec(text, *scopes)


dataclasses.exec = record  # type: ignore[attr-defined]
sys.path += sys.argv[1].split(",")
for name in sys.argv[2].split(","):
    __import__(name)
for data in sorted(text.encode() for text in texts):
    sys.stdout.buffer.write(len(data).to_bytes(8, "little") + data)
