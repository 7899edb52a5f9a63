# SPDX-License-Identifier: Apache-2.0
"""pykexec launch: make a verified launch, and find out what a machine lacks for it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.errors import PykexecError

if TYPE_CHECKING:
    from pykexec.launch.build import Built
    from pykexec.launch.manifest import Manifest

HELP = "verified launch: Xen, dom0 and domains from one manifest, signed and measured"
EPILOG = """\
MANIFEST is a TOML file; the documentation's page "Verified launch" has its keys.
"""
EXAMPLES = """\
pykexec launch build launch.toml --bundle-key bundle.key --output xen.efi --bundle office.bundle
pykexec launch build launch.toml --bundle-key bundle.key --sign-key db.key --sign-cert db.pem \
--launcher pykexec.efi --output xen.efi --bundle office.bundle
pykexec launch check launch.toml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True, dest="what")
    build = verbs.add_parser("build", help="make the unified xen.efi and the bundle")
    build.add_argument("manifest", type=Path, metavar="MANIFEST")
    build.add_argument("--output", type=Path, required=True, metavar="FILE", help="the xen.efi")
    build.add_argument(
        "--bundle", type=Path, required=True, metavar="FILE",
        help="the bundle; a newer one that is there stays, unless the manifest allows roll-back",
    )  # fmt: skip
    build.add_argument(
        "--bundle-key", type=Path, required=True, metavar="KEY",
        help="the private key that signs bundles: Ed25519, PEM",
    )  # fmt: skip
    build.add_argument(
        "--sign-key", metavar="KEY", help="the private key for Secure Boot, as `build` takes it"
    )
    build.add_argument("--sign-cert", type=Path, metavar="CERT", help="its certificate (PEM)")
    build.add_argument(
        "--launcher", type=Path, metavar="IMAGE",
        help="our image, which starts the xen.efi: PCR 4 is then foreseen behind it",
    )  # fmt: skip
    build.set_defaults(run=_build)
    check = verbs.add_parser("check", help="what this machine lacks; exit code 1 if it is anything")
    check.add_argument("manifest", type=Path, metavar="MANIFEST")
    check.set_defaults(run=_check)


def main(args: argparse.Namespace) -> int:
    """Do what was asked."""
    code: int = args.run(args)
    return code


def _manifest(path: Path) -> Manifest:
    from pykexec.image import files
    from pykexec.launch.manifest import parse_manifest

    return parse_manifest(files.read(path), str(path))


def _build(args: argparse.Namespace) -> int:
    from pykexec.cli.build import signing_key
    from pykexec.image import files
    from pykexec.launch.build import build
    from pykexec.launch.bundle import read_key

    signing = signing_key(args)
    for target in (args.output, args.bundle):
        files.check_writable(target)
    built = build(
        _manifest(args.manifest),
        read_key(args.bundle_key),
        signing,
        files.read(args.launcher) if args.launcher else None,
        files.read(args.bundle) if args.bundle.exists() else None,
    )
    # The bundle first: a new xen.efi starts no older one.
    files.write_atomically(args.bundle, built.bundle)
    files.write_atomically(args.output, built.image)
    _print(args, built)
    return 0


def _print(args: argparse.Namespace, built: Built) -> None:
    print(f"{args.output}: {len(built.image)} bytes, {'' if built.signed else 'not '}signed")
    print(f"  Xen         {built.xen_version}")
    print(f"  dom0        Linux {built.kernel_version}")
    print(f"  initramfs   {built.initramfs_size} bytes, {built.initramfs_unpacked_size} unpacked")
    print(f"  Authenticode sha256 {built.authenticode['sha256'].hex()}")
    behind = f"behind {args.launcher}" if args.launcher else "started by the firmware itself"
    for bank in ("sha256", "sha384"):
        print(f"  PCR 4 {bank} {built.pcr4[bank].hex()} ({behind})")
    print(f"{args.bundle}: {len(built.bundle)} bytes")
    for name, value in built.pcr13.items():
        print(f"  PCR 13 sha256 {value.hex()} ({f'domain {name}' if name else 'bundle'})")


def _check(args: argparse.Namespace) -> int:
    from pykexec.launch.check import lacks, look

    manifest = _manifest(args.manifest)
    found = list(lacks(manifest, look()))
    for line in found:
        print(f"{manifest.name}: {line}")
    if not found:
        print(f"{manifest.name}: this machine has all that the launch needs")
    return PykexecError.exit_code if found else 0
