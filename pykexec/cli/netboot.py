# SPDX-License-Identifier: Apache-2.0
"""pykexec netboot serve: a boot server for test benches."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "serve a directory to machines that boot from the network: PXE, UEFI HTTP boot, iPXE"
EPILOG = """\
DIR holds the image (pykexec.efi), beside it agent.toml and what that names by `url =`. With
--interface, firmware in that network gets addresses and is told to boot the image, by PXE (TFTP) or
by HTTP, over IPv4 and IPv6, as far as the interface has addresses, and at these alone; dnsmasq does
that, and it needs root to begin with. iPXE gets boot.ipxe, if DIR has it. Never let it loose in a
network with a DHCP server of its own: --proxy is for that; it adds where to boot from (PXE over
IPv4) and gives no addresses. Without --interface, HTTP alone is served, at every address.

Nothing is served with root's rights, but with those of whom DIR belongs to, or nobody's where that
is root. HTTP follows no link that leads out of DIR; TFTP would, so with --interface a DIR that has
one, or a pipe, is refused; such links that are made while it serves it follows, to what these
rights may read.
"""
EXAMPLES = """\
pykexec netboot serve build/netboot
pykexec netboot serve build/netboot --interface eth1
pykexec netboot serve build/netboot --interface eth1 --proxy --tls cert.pem key.pem
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    serve = actions.add_parser(
        "serve",
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("directory", type=Path, metavar="DIR")
    serve.add_argument("--interface", default="", metavar="IF", help="where to answer DHCP")
    serve.add_argument(
        "--boot-file", default="pykexec.efi", metavar="FILE", help="in DIR; default: pykexec.efi"
    )
    serve.add_argument("--http-port", type=int, default=8080, metavar="PORT", help="default: 8080")
    serve.add_argument(
        "--tls", type=Path, nargs=2, metavar=("CERT", "KEY"), help="PEM: serve HTTPS as well"
    )
    serve.add_argument("--https-port", type=int, default=8443, metavar="PORT", help="default: 8443")
    serve.add_argument(
        "--proxy", action="store_true", help="another DHCP server gives the addresses"
    )


def main(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import signal

    from pykexec.netboot import Settings, Tls, give_up_root, serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # dnsmasq must not stay behind.
    settings = Settings(
        directory=args.directory,
        interface=args.interface,
        boot_file=args.boot_file,
        http_port=args.http_port,
        tls=Tls(args.tls[0], args.tls[1], args.https_port) if args.tls else None,
        proxy=args.proxy,
    )
    with serve(settings, lambda line: print(line, flush=True)) as server:
        for line in server.describe():
            print(line, flush=True)
        give_up_root(settings.directory)
        server.wait()
    return 0
