# SPDX-License-Identifier: Apache-2.0
"""Which functions of pykexec take bytes apart, and which of them the targets reach.

To take apart is to call what makes values of bytes or of their text: struct, int.from_bytes, JSON,
TOML, base64, hex, a parser in C, cryptography's loaders. What no target reaches is in OURS, with
whose bytes it reads.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterable, Iterator
from functools import _lru_cache_wrapper
from pathlib import Path
from types import FrameType

import pykexec
from pykexec.verify import told
from tests.fuzz.targets import Target

_ROOT = Path(pykexec.__file__).resolve().parent
_DECODERS = {
    "b64decode",
    "from_buffer",
    "from_bytes",
    "fromhex",
    "iter_unpack",
    "loads",
    "unpack",
    "unpack_from",
    "urlsafe_b64decode",
}
_LOADERS = ("load_der_", "load_pem_")
# What they read is the operator's, or of a machine that they made themselves.
_ROOMS_OF_OURS = ("cli", "demo", "vm")

_RECORD = "a record that one of us has written"
_DATABASE = "a column that the server has written, and sealed where others may not write it"
_LOCAL = "what Linux says in a file or an answer of its own"
_HEX = "an address that Linux has given as text"
_MASTER = "who answers has the master key: he needs no trick to read all"
OURS = {
    "attest.groups.to_groups": "what is shown",
    "bridge.daemon._nr_installed": _LOCAL,
    "bridge.disk_device._tag": "a digest",
    "bridge.relation._partitions": "a node of a device path that was parsed, of the checked size",
    "bridge.supervisor._exchange": "the answer of our own supervisor",
    "bridge.window._read_cookie": _RECORD,
    "certify.identity._identifiers": "a node of a device path that was parsed",
    "certify.look.acpi": "what was read as firmware.acpi has it; C takes any bytes of it",
    "certify.network.echo_request": "what is sent",
    "certify.network.nics": _HEX,
    "certify.settings.parse_settings": _RECORD,
    "certify.stick.Blocks._ask": "a struct of the stub of fixed size, taken apart by firmware.wire",
    "disk.fat_tree._utf16": "a name that is to be written",
    "efi.efivarfs.make_mutable": _LOCAL,
    "guest.doors.is_secure_boot_off": _LOCAL,
    "guest.watch.nr_received": _LOCAL,
    "image._compile.prepared": "what our own parent has written",
    "image.interpreter._compiled": "what our own child has compiled",
    "image.sbom._serialize": _RECORD,
    "kexec.images.start": "a struct of the stub of fixed size, taken apart by firmware.wire",
    "launch.bundle.read_key": "the operator's key",
    "linux.interface.Interface.mac": _HEX,
    "net.configure._candidates": _HEX,
    "net.configure._configure": _HEX,
    "net.configure._leases": _HEX,
    "netboot.settings.parse_addresses": "what ip(8) says",
    "policy.offline._digest": "reference values that were parsed",
    "policy.rules._decode": "the answer of our own worker",
    "policy.worker.main": "the question of the server that started it",
    "server.backup.age.parse_identities": "the operator's key",
    "server.backup.restore._Loader.take": "a line of a backup whose MAC was checked",
    "server.backup.rows.load": "a line of a backup whose MAC was checked",
    "server.store.approvals.Approvals.decide": _DATABASE,
    "server.keys.masterkey._key_of": "the operator's key",
    "server.keys.vault.VaultMasterKey.unwrap": _MASTER,
    "server.store.accounts.Accounts.logged_in_from": _DATABASE,
    "server.store.audit._entry": _DATABASE,
    "server.store.column_types.Json.process_result_value": _DATABASE,
    "server.store.passwords.verify_password": _DATABASE,
    "server.store.rollout.bucket": "a digest",
    "server.trail.follow.read_place": "where we have left it",
    "server.trail.targets._unheard": _LOCAL,
    "server.web.admin.machines._evidence": _DATABASE,
    "server.web.limits.Limiter._find": "memory that the workers share",
    "server.web.limits.Limiter._hash": "a digest",
    "server.web.metrics.Metrics._read": "memory that the workers share",
    "tpm.templates": "a constant",
    "verify.offer.judge_offer": _DATABASE,
    "windows.disks.open_disk": _LOCAL,
}
"""What takes bytes apart that are not foreign, by name below pykexec, with whose they are."""


def decoders() -> set[str]:
    """All functions that take bytes apart, but in rooms that see only what is ours."""
    found: set[str] = set()
    for path in _ROOT.rglob("*.py"):
        parts = path.relative_to(_ROOT).with_suffix("").parts
        if parts[0] not in _ROOMS_OF_OURS:
            found.update(_in(ast.parse(path.read_bytes()), ".".join(parts)))
    return found


def _in(node: ast.AST, name: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _in(child, f"{name}.{child.name}")
            continue
        if isinstance(child, ast.Call) and _decodes(child):
            yield name
        yield from _in(child, name)


def _decodes(call: ast.Call) -> bool:
    word = _word(call.func)
    made_here = any(isinstance(arg, ast.Call) and _word(arg.func) == "urandom" for arg in call.args)
    return (word in _DECODERS or word.startswith(_LOADERS)) and not made_here


def _word(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=word) | ast.Name(id=word):
            return word
    return ""


def reached(targets: Iterable[Target]) -> set[str]:
    """All functions that run when these are given what they start from."""
    codes = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    _forget()
    for target in targets:
        seeds = [*target.seeds(), *target.refused()]
        sys.setprofile(note)
        try:
            for data in seeds:
                target(data)
        finally:
            sys.setprofile(None)
    files = {code.co_filename for code in codes}
    rooms = {file: Path(file) for file in files if Path(file).is_relative_to(_ROOT)}
    return {
        ".".join([*rooms[code.co_filename].relative_to(_ROOT).with_suffix("").parts, *names])
        for code in codes
        if code.co_filename in rooms
        for names in [[part for part in code.co_qualname.split(".") if part[0] != "<"]]
    }


def _forget() -> None:
    """What one of our caches knows is not taken apart again."""
    for found in gc.get_objects():
        if isinstance(found, _lru_cache_wrapper) and found.__module__.startswith("pykexec."):
            found.cache_clear()
    told.forget_all()
