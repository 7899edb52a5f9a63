# SPDX-License-Identifier: Apache-2.0
"""Run by the interpreter that is shipped (-I -S): compiles sources to .pyc files, always to the
same bytes.

Arguments: optimisation level; a file of texts as _dataclasses.py writes them. Input: lines of
source file, tab, path that tracebacks shall name. Output: for each its size (8 bytes,
little-endian) and the .pyc, with an unchecked hash of the source (PEP 552). It runs in a process of
its own because what marshal writes depends on reference counts, that is on what else the process
has done.

The standard library's dataclasses are given these texts compiled, and our dataclasses a __doc__
where optimisation takes theirs: else each would be given its signature's text, which takes long.
"""

import ast
import gc
import importlib.util
import marshal
import sys

UNCHECKED_HASH = 1
DATACLASSES = "/dataclasses.py"
# Each text is asked for once, when its class is made; few programs make all of them.
PREPARED = """
import builtins as _builtins, marshal as _marshal
_PREPARED = _marshal.loads({code!r})
def exec(text, *scopes):
    data = _PREPARED.pop(text, None)
    return _builtins.exec(_marshal.loads(data) if data else text, *scopes)
"""

gc.disable()
level = int(sys.argv[1])


def prepared(path: str) -> str:
    """What is added to the standard library's dataclasses."""
    code, offset = {}, 0
    with open(path, "rb") as file:
        data = file.read()
    while offset < len(data):
        end = offset + 8 + int.from_bytes(data[offset : offset + 8], "little")
        text = data[offset + 8 : end].decode()
        found = compile(text, "<string>", "exec", dont_inherit=True, optimize=level)
        code[text] = marshal.dumps(found)
        offset = end
    return PREPARED.format(code=marshal.dumps(code))


def is_dataclass(node: ast.AST) -> bool:
    """A class with that decorator, however it is called."""
    if not isinstance(node, ast.ClassDef):
        return False
    calls = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(isinstance(call, ast.Name) and call.id == "dataclass" for call in calls)


def documented(source: bytes, name: str) -> ast.Module:
    """The source with a __doc__ that no optimisation takes in each dataclass."""
    tree = ast.parse(source, name)
    for node in ast.walk(tree):
        if is_dataclass(node) and isinstance(node, ast.ClassDef):
            place = ast.Assign([ast.Name("__doc__", ast.Store())], ast.Constant(node.name))
            first = node.body[0]
            node.body.insert(0, ast.fix_missing_locations(ast.copy_location(place, first)))
    return tree


for line in sys.stdin.read().splitlines():
    source_path, name = line.split("\t")
    with open(source_path, "rb") as file:
        source = file.read()
    tree = documented(source, name)
    if name.endswith(DATACLASSES):
        tree.body += ast.parse(prepared(sys.argv[2]), name).body
    code = compile(tree, name, "exec", dont_inherit=True, optimize=level)
    pyc = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little")
    pyc += importlib.util.source_hash(source) + marshal.dumps(code)
    sys.stdout.buffer.write(len(pyc).to_bytes(8, "little") + pyc)
