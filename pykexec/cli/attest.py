# SPDX-License-Identifier: Apache-2.0
"""pykexec attest: have a server judge this boot, and show what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykexec.attest.client import Answer, Facts
    from pykexec.config.agent import AgentConfig
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.tpm.client import Tpm
    from pykexec.tpm.transport import FirmwareLog

HELP = "have a server judge this boot: evidence, verdict; no secret is opened or shown"
EPILOG = """\
Nothing that the server releases is opened, but it counts as released: this boot is given nothing
more. Without --server and --ca those of the image's configuration count. On a machine that was
booted normally Linux' own TPM and event log are used. Linux' EFI stub keeps that log: there is none
where a boot loader jumped past it, as GRUB's own loader for Linux does.
"""
EXAMPLES = """\
pykexec attest
pykexec attest --server https://keys.example:8443 --ca ca.pem --save evidence.json
"""
_EVENT_LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
_DEVICE = "/dev/tpmrm0"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from pykexec.config.keys import BANKS, EK_KINDS

    parser.epilog = EPILOG
    parser.add_argument("--server", metavar="URL", help="https://...")
    parser.add_argument("--ca", metavar="FILE", help="PEM: who may vouch for the server")
    parser.add_argument("--save", metavar="FILE", help="write what was sent, as JSON")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--ek", choices=EK_KINDS, default="auto", help="endorsement key")
    parser.add_argument("--bank", choices=BANKS, default="", help="PCR bank")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds, all attempts together"
    )


def main(args: argparse.Namespace) -> int:
    """Print the verdict; DeniedError, after that, if the server refuses."""
    from pykexec.attest.client import Server, attest
    from pykexec.config.agent import read_embedded, resolve_config
    from pykexec.config.attest import check_server
    from pykexec.errors import UsageError

    config = resolve_config(read_embedded(), None)
    address = args.server or (config.attest.server if config.attest else None)
    if address is None:
        raise UsageError("--server: missing, and the image's configuration names none")
    check_server(address)
    server = Server(
        address=address,
        authorities=_read(args.ca) if args.ca else config.network.authorities,
        timeout_s=args.timeout,
        silence_s=config.network.timeout_s,
        bank=args.bank,
        ek=args.ek,
    )
    with _machine(config) as (tpm, facts), attest(server, tpm, facts) as answer:
        if args.save:
            with open(args.save, "wb") as file:
                file.write(answer.request.encode())
        (_print_json if args.json else _print)(answer, tpm)
        sys.stdout.flush()
        answer.check()
    return 0


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


@contextmanager
def _machine(config: AgentConfig) -> Iterator[tuple[Tpm, Facts]]:
    """The TPM and what there is to say, here or on a machine that was booted normally."""
    from pykexec.attest.client import Facts
    from pykexec.attest.machine import machine_identity
    from pykexec.errors import NotResidentError
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.tpm.client import open_tpm

    try:
        mailbox = Mailbox()
    except NotResidentError:
        with open_tpm(_DEVICE) as tpm:
            yield tpm, Facts(machine_identity(), {}, _linux_event_log)
        return
    with mailbox, _firmware_tpm(mailbox, config) as tpm:
        from pykexec.tpm.transport import read_event_log

        yield tpm, Facts(machine_identity(), {}, lambda: read_event_log(mailbox))


@contextmanager
def _firmware_tpm(mailbox: Mailbox, config: AgentConfig) -> Iterator[Tpm]:
    from pykexec.bridge.supervisor import ensure
    from pykexec.kexec.remote import go_online
    from pykexec.tpm.client import open_tpm

    go_online(mailbox, config.network)
    ensure("tpm")
    with open_tpm() as tpm:
        yield tpm


def _linux_event_log() -> FirmwareLog:
    """Linux does not tell whether the firmware had room for all."""
    from pykexec.tpm.transport import FirmwareLog

    with open(_EVENT_LOG, "rb") as file:
        return FirmwareLog(file.read(), truncated=False)


def _print_json(answer: Answer, tpm: Tpm) -> None:
    from pykexec.cli.output import print_json

    print_json(
        {
            "server": answer.server,
            "accepted": answer.reply.verdict.accepted,
            "findings": answer.reply.verdict.findings,
            "released": answer.reply.release is not None,
            "ek": answer.request.evidence.identity.fingerprint,
            "tpm": {"commands": tpm.usage.commands, "seconds": round(tpm.usage.seconds, 3)},
        }
    )


def _print(answer: Answer, tpm: Tpm) -> None:
    verdict = answer.reply.verdict
    print(f"{answer.server}: {'accepted' if verdict.accepted else 'refused'}")
    for finding in verdict.findings:
        print(f"  {'refuses' if finding.refuses else 'note'}  {finding}")
    print(f"endorsement key {answer.request.evidence.identity.fingerprint}")
    print(f"the TPM's part: {tpm.usage.seconds:.2f} s, {tpm.usage.commands} commands")
