# SPDX-License-Identifier: Apache-2.0
"""pykexec serve: the attestation server."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "serve attestations: verify evidence, release secrets, keep the books"
EPILOG = """\
SPEC of a master key is file:PATH (32 bytes in hex or base64, mode 600), env:NAME or
vault:MOUNT/NAME (transit; VAULT_ADDR and VAULT_TOKEN as Vault's tools have them). `pykexec server
init` makes the key file, the database and the first administrator.

A database is sqlite:///PATH or postgresql://USER@HOST/NAME. SIGTERM ends gracefully, SIGHUP starts
two or more workers anew, with the certificate as it is then.
"""
EXAMPLES = """\
pykexec serve --database sqlite:///store.db --master-key file:master.key
pykexec serve --database postgresql:///pykexec --master-key vault:transit/pykexec --workers 2
pykexec serve --database sqlite:///s.db --master-key env:KEY --tls-cert c.pem --tls-key k.pem
pykexec serve --database sqlite:///store.db --master-key file:master.key --people people.toml
pykexec serve --database sqlite:///s.db --master-key file:k --watch-certificate ca.pem
pykexec serve --database sqlite:///s.db --master-key file:k --people p.toml --operators o.toml
pykexec serve --database sqlite:///s.db --master-key file:k --webhooks webhooks.toml
pykexec serve --database sqlite:///s.db --master-key file:k --log-format json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--database", required=True, metavar="URL", help="where all is kept")
    parser.add_argument("--master-key", required=True, metavar="SPEC", help="wraps all secrets")
    parser.add_argument(
        "--previous-key", action="append", default=[], metavar="SPEC",
        help="a master key that something is still wrapped by; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--migrate", action="store_true", help="bring the database's schema up to date first"
    )
    parser.add_argument(
        "--listen", action="append", metavar="HOST:PORT",
        help="default: 127.0.0.1:8443; may be repeated",
    )  # fmt: skip
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--insecure-plain", action="store_true",
        help="serve without TLS elsewhere than on loopback, behind a proxy that has it",
    )  # fmt: skip
    parser.add_argument(
        "--ek-roots", type=Path, metavar="DIR",
        help="trust EK certificates of the authorities in these files, too (PEM, DER)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes (default: 1)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, metavar="N",
        help="of each worker, for attestations; more only where the database is far (default: 2)",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-proxy", action="append", default=[], metavar="NETWORK",
        help="believe X-Forwarded-For of these; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=float, default=10, metavar="N",
        help="agents' requests a second of one address in the long run (default: 10; 0: no limit)",
    )  # fmt: skip
    parser.add_argument(
        "--burst", type=float, default=60, metavar="N", help="and at once (default: 60)"
    )
    parser.add_argument(
        "--challenge-timeout", type=int, default=60, metavar="SECONDS",
        help="how long a challenge may be answered (default: 60)",
    )  # fmt: skip
    parser.add_argument(
        "--people", type=Path, metavar="FILE",
        help="where persons log in to approve boots (TOML)",
    )  # fmt: skip
    parser.add_argument(
        "--watch-certificate", type=Path, action="append", default=[], metavar="FILE",
        help="tell when these end, too (PEM): the authority that images pin, say; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--operators", type=Path, metavar="FILE",
        help="how operators log in, and what groups may do (TOML)",
    )  # fmt: skip
    parser.add_argument(
        "--webhooks", type=Path, metavar="FILE", help="whom webhooks may reach (TOML)"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text",
        help="of what is said on standard error (default: text)",
    )  # fmt: skip
    parser.add_argument("--no-access-log", action="store_true", help="no line for each request")


def main(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    import logging

    from pykexec.errors import UsageError
    from pykexec.log import log_to_stderr
    from pykexec.server.people.operators import read_operators
    from pykexec.server.people.settings import read_people
    from pykexec.server.process.serve import ServeOptions, serve
    from pykexec.server.service import ServiceSettings
    from pykexec.server.web.json_log import log_as_json
    from pykexec.server.web.limits import Rate
    from pykexec.server.web.peer import parse_networks
    from pykexec.server.web.web import WebOptions
    from pykexec.server.webhooks.settings import WebhookSettings, read_webhooks

    if args.workers < 1 or args.workers > 64:
        raise UsageError("--workers: from 1 to 64")
    if not 1 <= args.threads <= 256:
        raise UsageError("--threads: from 1 to 256")
    if not 1 <= args.challenge_timeout <= 3600:
        raise UsageError("--challenge-timeout: from 1 to 3600 s")
    people = read_people(args.people) if args.people else None
    operators = read_operators(args.operators, people) if args.operators else None
    if args.log_format == "json":
        log_as_json(logging.INFO)
    else:
        log_to_stderr("%(asctime)s %(name)s: %(message)s", logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for chatty in ("alembic", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    web = WebOptions(
        agents=Rate(args.rate, max(args.burst, 1)),
        machine=Rate(0, 1) if args.rate <= 0 else WebOptions().machine,
        proxies=parse_networks(args.trusted_proxy),
        threads=args.threads,
        tls=args.tls_cert is not None,
        certificates=tuple(
            path
            for path in (args.tls_cert, people and people.authorities, *args.watch_certificate)
            if path
        ),
        access_log=not args.no_access_log,
        webhooks=read_webhooks(args.webhooks) if args.webhooks else WebhookSettings(),
    )
    return serve(
        ServeOptions(
            database=args.database,
            master_key=args.master_key,
            listen=tuple(args.listen or ("127.0.0.1:8443",)),
            tls_cert=args.tls_cert,
            tls_key=args.tls_key,
            insecure_plain=args.insecure_plain,
            workers=args.workers,
            migrate=args.migrate,
            ek_roots=args.ek_roots,
            previous=tuple(args.previous_key),
            web=web,
            service=ServiceSettings(
                challenge_s=args.challenge_timeout, people=people.address if people else ""
            ),
            people=people,
            operators=operators,
        )
    )
