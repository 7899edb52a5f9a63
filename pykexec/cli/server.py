# SPDX-License-Identifier: Apache-2.0
"""pykexec server: set up and administer an attestation server."""

from __future__ import annotations

import argparse

from pykexec.cli import (
    server_access,
    server_approval,
    server_audit,
    server_backup,
    server_break_glass,
    server_bulk,
    server_expiry,
    server_keys,
    server_local,
    server_machines,
    server_quarantine,
    server_rollout,
    server_settings,
    server_webhooks,
)
from pykexec.cli._server import add_connection, connect

HELP = "set up and administer an attestation server"
EPILOG = """\
init, local-token, local-admin, migrate, rewrap, check-audit, backup and restore work on the
database itself, check-certificate, audit check and approval verify on files alone; all others ask
a running server, by --url and with the token in --token-file, or in $PYKEXEC_SERVER and
$PYKEXEC_TOKEN_FILE or $PYKEXEC_TOKEN. A MACHINE is named by its fingerprint, its first digits, or
its name.
"""
EXAMPLES = """\
pykexec server init --database sqlite:///s.db --master-key file:master.key --token-file admin.token
pykexec server local-token ci --role admin --output t --database sqlite:///s.db --master-key file:k
pykexec server local-admin root --database sqlite:///s.db --master-key file:master.key
pykexec server migrate --database sqlite:///s.db --master-key file:master.key
pykexec server rewrap --database sqlite:///s.db --master-key file:old.key --new-key file:new.key
pykexec server check-audit --database sqlite:///s.db --master-key file:k --anchor anchors.jsonl
pykexec server backup-key --output backup.key
pykexec server backup --database sqlite:///s.db --master-key file:k --recipient age1q --output s.bak
pykexec server restore s.bak --identity i --database sqlite:///new.db --master-key file:k
pykexec server restore b --identity i --database sqlite:///n --master-key file:k --accept rollback
pykexec server --url https://keys.example:8443 --ca ca.pem --token-file admin.token status
pykexec server machines --state pending
pykexec server show 3f2a
pykexec server attestations web-1
pykexec server evidence 17
pykexec server add ek.pub --name web-1 --policy servers
pykexec server approve 3f2a --policy servers
pykexec server refuse 3f2a --reason "nobody knows it"
pykexec server retire web-1 --reason sold --for-good
pykexec server reinstate web-1 --reason "not that one"
pykexec server tags web-1 site=north rack=7
pykexec server name 3f2a web-1
pykexec server set-policy web-1 servers
pykexec server forget-boots web-1 --reason "TPM cleared for repair"
pykexec server quarantine list
pykexec server quarantine put web-1 --reason "seen to talk to strangers"
pykexec server quarantine put --tag rack=7 --reason "the cage was open"
pykexec server quarantine lift web-1 --reason "set up anew"
pykexec server break-glass rehearse web-1
pykexec server secret list web-1
pykexec server secret put web-1 disk --kind luks-key --file key.bin
pykexec server secret revoke web-1 disk
pykexec server secret restore web-1 disk --version 1
pykexec server key plan web-1 disk --kind luks-passphrase --rotate-days 90
pykexec server key list web-1
pykexec server key rotate web-1 disk --reason "a technician has left"
pykexec server key reveal web-1 disk --person "Ada Lovelace" --reason "call 17"
pykexec server key unplan web-1 disk
pykexec server rebind web-1 3f2a --reason "mainboard swapped"
pykexec server rebind web-1 3f2a --agree
pykexec server destroyed web-1
pykexec server check-certificate gone.json --key 1hsVvV4LrYbT0VTZ2KkM2vZ5m7l9dTqIWm0D9GYqWn8
pykexec server policy list
pykexec server policy show servers
pykexec server policy put servers policy.toml --comment "new kernel"
pykexec server rollout try servers policy.toml
pykexec server rollout try servers --version 4 --time 2026-12-24T23:00+01:00 --released rack=20
pykexec server rollout draft servers policy.toml --comment "new firmware"
pykexec server rollout show servers
pykexec server rollout canary servers --tag ring=0 --share 5
pykexec server rollout promote servers
pykexec server rollout back servers --reason "refuses the new blades"
pykexec server rollout abandon servers
pykexec server rollout pin servers web-1 --version 3 --reason "awaits its update"
pykexec server rollout unpin servers --tag rack=7
pykexec server expiry --days 60
pykexec server enrolment hashes=true default_policy=servers
pykexec server ek-hash list
pykexec server ek-hash add hashes.txt --policy servers
pykexec server ek-hash remove 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
pykexec server ek-root list
pykexec server ek-root add tpm-vendor.pem
pykexec server ek-root remove 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
pykexec server token list
pykexec server token create monitoring --role viewer --days 365 --output monitoring.token
pykexec server token create north --role operator --scope site=north --days 90 --output n.token
pykexec server token revoke monitoring
pykexec server operator list
pykexec server operator create anna --role operator
pykexec server operator grant anna --role operator --scope site=north
pykexec server operator password anna
pykexec server operator remove anna
pykexec server import machines.csv --dry-run
pykexec server import - --format jsonl
pykexec server export machine --format csv
pykexec server session list
pykexec server session end 0123456789abcdef
pykexec server security-key list
pykexec server security-key remove 0123456789abcdef
pykexec server security-key reset person:anna
pykexec server audit list --subject web-1
pykexec server audit verify
pykexec server audit export
pykexec server audit anchor --append /mnt/elsewhere/anchors.jsonl
pykexec server audit verify --anchor /mnt/elsewhere/anchors.jsonl
pykexec server audit check trail.jsonl --anchor anchors.jsonl --key 1hsVvV4LrYbT0VTZ2KkM2vZ5m7l
pykexec server audit follow --to tls://logs.example:6514 --to-ca ca.pem --cursor audit.cursor
pykexec server audit follow --to file:audit.log --cursor audit.cursor --once
pykexec server webhook list
pykexec server webhook add pager --event break-glass --address-file url --secret-file pager.secret
pykexec server webhook test pager
pykexec server webhook resume pager --skip
pykexec server webhook remove pager
pykexec server approval verify trail.jsonl --policy servers-3.toml --issuer https://login.example
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    add_connection(parser)
    parser.set_defaults(client=connect)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    server_local.configure(actions)
    server_backup.configure(actions)
    server_expiry.configure(actions)
    server_machines.configure(actions)
    server_quarantine.configure(actions)
    server_bulk.configure(actions)
    server_rollout.configure(actions)
    server_keys.configure(actions)
    server_keys.configure_local(actions)
    server_break_glass.configure(actions)
    server_approval.configure(actions)
    server_settings.configure(actions)
    server_audit.configure(actions)
    server_access.configure(actions)
    server_webhooks.configure(actions)


def main(args: argparse.Namespace) -> int:
    """Run the action."""
    code: int = args.action(args)
    return code
