# SPDX-License-Identifier: Apache-2.0
"""Backup and restore of a server's database: `pykexec server backup-key|backup|restore`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pykexec.cli._progress import Progress
from pykexec.cli._server import Actions, add_store, cell, check_new, open_store, write_private
from pykexec.errors import UsageError

_BACKUP = "write a backup of the database, encrypted, while servers go on"
_RESTORE = "bring a backup into a new database; servers that use the old one have to be stopped"
_FILE_MAX = 64 << 10  # bytes of an identity


def configure(actions: Actions) -> None:
    """Declare the actions."""
    key = actions.add_parser("backup-key", help="make a key for backups")
    key.description = "make a key for backups: FILE opens them, what is printed is for --recipient"
    key.add_argument("--output", required=True, type=Path, metavar="FILE", help="a new file")
    key.set_defaults(action=_key)
    backup = add_store(actions, "backup", _BACKUP, _backup)
    backup.add_argument(
        "--recipient", required=True, action="append", metavar="KEY",
        help="age1... or ssh-...: whose identity opens the backup; may be given several times",
    )  # fmt: skip
    backup.add_argument("--output", required=True, type=Path, metavar="FILE", help="a new file")
    restore = add_store(actions, "restore", _RESTORE, _restore)
    restore.add_argument("backup", type=Path, metavar="FILE")
    restore.add_argument("--identity", required=True, type=Path, metavar="FILE")
    restore.add_argument(
        "--previous-key", action="append", default=[], metavar="SPEC",
        help="a master key of before, which the backup may still need",
    )  # fmt: skip
    restore.add_argument(
        "--old-database", metavar="URL", help="which it is to replace: tells what is forgotten"
    )
    restore.add_argument("--seq", type=int, metavar="N", help="an entry of the audit trail ...")
    restore.add_argument("--hash", metavar="HEX", help="... and its hash, noted elsewhere")
    restore.add_argument(
        "--accept", action="append", default=[], choices=("rollback", "faults"),
        help="rollback: what happened since then is forgotten; "
        "faults: the audit trail was broken before the backup was made",
    )  # fmt: skip


def _key(args: argparse.Namespace) -> int:
    from pykexec.server.backup.age import new_identity

    identity, recipient = new_identity()
    write_private(args.output, f"# {recipient}\n{identity}")
    print(f"{args.output}: opens backups; keep it away from the server")
    print(f"--recipient {recipient}")
    return 0


def _backup(args: argparse.Namespace) -> int:
    from pykexec.server.backup.age import parse_recipient
    from pykexec.server.backup.backup import write_backup

    recipients = [parse_recipient(text) for text in args.recipient]
    check_new(args.output)
    with open_store(args) as store:
        header = write_backup(store.database, store.keys, args.output, recipients, Progress())
    print(f"{args.output}: backup of the server {header.store}, schema {header.schema}")
    print(f"its audit trail ends with entry {header.seq}, hash {header.hash}: note that elsewhere")
    needed = " or ".join(cell(key.key_id) for key in header.keys)
    print(f"restoring it needs the master key {needed}, which is not in it")
    return 0


def _restore(args: argparse.Namespace) -> int:
    from pykexec.server.backup import age, rollback
    from pykexec.server.backup.header import Header
    from pykexec.server.backup.restore import restore
    from pykexec.server.keys.envelope import Keyring
    from pykexec.server.keys.masterkey import open_master_key
    from pykexec.server.store.store import Store

    if (args.seq is None) != (args.hash is None):
        raise UsageError("--seq and --hash go together")
    with open(args.identity, encoding="utf-8") as file:
        identities = age.parse_identities(file.read(_FILE_MAX))
    master = open_master_key(args.master_key)
    previous = [open_master_key(spec) for spec in args.previous_key]

    def judge(header: Header) -> rollback.Rollback:
        with Store.open(args.old_database, master, False, previous) as old:
            return rollback.from_database(header, old)

    with open(args.backup, "rb") as source:
        done = restore(
            source,
            identities,
            args.database,
            Keyring(master, previous),
            Progress(),
            anchor=(args.seq, args.hash) if args.hash else None,
            judge=judge if args.old_database else None,
            accepted=args.accept,
        )
    made = rollback.age_of(done.header)
    print(f"restored: the server {done.header.store} as of {made}, {done.rows} rows")
    print(f"forgotten: {done.rollback}" if not done.rollback.none else "nothing is forgotten")
    for fault in done.faults:
        print(f"fault: {cell(fault)}")
    print("everybody has to log in again; go through what was exported of the audit trail since")
    return 0
