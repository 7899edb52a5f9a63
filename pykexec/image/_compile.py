# SPDX-License-Identifier: Apache-2.0
"""Run by the interpreter that is shipped (-I -S): compiles sources to .pyc files, always to the
same bytes.

Argument: optimisation level. Input: lines of source file, tab, path that tracebacks shall name.
Output: for each its size (8 bytes, little-endian) and the .pyc, with an unchecked hash of the
source (PEP 552). It runs in a process of its own because what marshal writes depends on reference
counts, that is on what else the process has done.
"""

import gc
import importlib.util
import marshal
import sys

UNCHECKED_HASH = 1

gc.disable()
level = int(sys.argv[1])
for line in sys.stdin.read().splitlines():
    source_path, name = line.split("\t")
    with open(source_path, "rb") as file:
        source = file.read()
    code = compile(source, name, "exec", dont_inherit=True, optimize=level)
    pyc = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little")
    pyc += importlib.util.source_hash(source) + marshal.dumps(code)
    sys.stdout.buffer.write(len(pyc).to_bytes(8, "little") + pyc)
