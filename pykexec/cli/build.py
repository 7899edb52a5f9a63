# SPDX-License-Identifier: Apache-2.0
"""pykexec build: make a bootable image from a kernel."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.image import SigningKey
    from pykexec.image.builder import Built

HELP = "make a bootable image: stub, stock kernel and agent in one EFI application"
EXAMPLES = """\
pykexec build --kernel /boot/vmlinuz-6.1.0-50-cloud-amd64 --config agent.toml --output pykexec.efi
pykexec build --kernel vmlinuz --modules lib/modules/6.12.0 --module xfs --output pykexec.efi
pykexec build --kernel vmlinuz --sign-key db.key --sign-cert db.pem --output pykexec.efi
pykexec build --kernel vmlinuz --sign-key "pkcs11:object=db" --sign-cert db.pem --output pykexec.efi
pykexec build --kernel vmlinuz --reference image.json --output pykexec.efi
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    # The builder's imports are slow; its defaults are written down in the help by hand.
    parser.add_argument(
        "--kernel", type=Path, required=True, metavar="FILE", help="a Linux kernel with EFI stub"
    )
    parser.add_argument(
        "--modules", type=Path, metavar="DIR",
        help="its modules (default: beside it, else lib/modules/<its version>)",
    )  # fmt: skip
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME",
        help="ship this kernel module, too, and what it needs (file systems, say); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-modules", action="store_true", help="the kernel has all that is needed built in"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="agent.toml to embed")
    parser.add_argument(
        "--cmdline",
        metavar="WORDS",
        help="kernel parameters (default: console=tty0 console=ttyS0,115200 quiet)",
    )
    parser.add_argument(
        "--arena",
        type=int,
        metavar="MIB",
        help="memory for Linux in MiB (default: 256, at least 128)",
    )
    parser.add_argument(
        "--window", type=int, metavar="MIB",
        help="memory for the disks' data on its way, in MiB (default: 16, at most 256)",
    )  # fmt: skip
    parser.add_argument(
        "--initrd-add", type=Path, action="append", default=[], metavar="PATH",
        help="initramfs archive, or directory to be packed as one, to add; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--measure", choices=("firmware", "systemd"), default="firmware",
        help="who measures: the firmware alone, into PCR 4 (default), or the image its sections, "
        "too, into PCR 11 as systemd-stub does",
    )  # fmt: skip
    parser.add_argument(
        "--sign-key", metavar="KEY",
        help="private key: a PEM file, or the PKCS #11 URI of one in a token; "
        "?module-path=PATH&pin-source=PATH name library and PIN",
    )  # fmt: skip
    parser.add_argument("--sign-cert", type=Path, metavar="CERT", help="its certificate (PEM)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the image")
    parser.add_argument(
        "--reference", type=Path, metavar="FILE",
        help="write what a verifier has to know of the image: digests and PCR values, as JSON",
    )  # fmt: skip
    bill = parser.add_mutually_exclusive_group()
    bill.add_argument(
        "--sbom", type=Path, metavar="FILE",
        help="the bill of materials, CycloneDX JSON (default: beside the image, IMAGE.cdx.json)",
    )  # fmt: skip
    bill.add_argument("--no-sbom", action="store_true", help="write no bill of materials")


def main(args: argparse.Namespace) -> int:
    """Build, write, print what was built."""
    from pykexec.image import Recipe, build
    from pykexec.image.files import check_writable, write_atomically
    from pykexec.image.recipe import (
        BRIDGE_MODULES,
        DEFAULT_ARENA_MIB,
        DEFAULT_CMDLINE,
        DEFAULT_WINDOW_MIB,
        KERNEL_MODULES,
        NATIVE_MODULES,
    )
    from pykexec.image.reference import encode_reference, reference_values

    signing = signing_key(args)
    if args.no_modules and (args.modules or args.module):
        raise UsageError("--no-modules excludes --modules and --module")
    recipe = Recipe(
        kernel=args.kernel,
        modules=args.modules,
        config=args.config,
        cmdline=DEFAULT_CMDLINE if args.cmdline is None else args.cmdline,
        arena_mib=DEFAULT_ARENA_MIB if args.arena is None else args.arena,
        window_mib=DEFAULT_WINDOW_MIB if args.window is None else args.window,
        initrd_add=tuple(args.initrd_add),
        signing=signing,
        kernel_modules=() if args.no_modules else KERNEL_MODULES,
        optional_modules=() if args.no_modules else BRIDGE_MODULES + NATIVE_MODULES,
        more_modules=tuple(args.module),
        measure_sections=args.measure == "systemd",
    )
    bill = args.sbom or args.output.with_name(f"{args.output.name}.cdx.json")
    for target in (args.output, args.reference, None if args.no_sbom else bill):
        if target:
            check_writable(target)
    built = build(recipe)
    write_atomically(args.output, built.data)
    if not args.no_sbom:
        write_atomically(bill, built.sbom)
    if args.reference:
        values = reference_values(built.data, str(args.output))
        write_atomically(args.reference, encode_reference(values))
    _print(args.output, built)
    if not args.no_sbom:
        print(f"  bill of materials {bill}")
    return 0


def signing_key(args: argparse.Namespace) -> SigningKey | None:
    """What --sign-key and --sign-cert name; UsageError for one without the other."""
    from pykexec.image import SigningKey
    from pykexec.image.pkcs11 import SCHEME, parse_key

    if (args.sign_key is None) != (args.sign_cert is None):
        raise UsageError("--sign-key and --sign-cert go together")
    if (text := args.sign_key) is None:
        return None
    key = parse_key(text) if text.startswith(SCHEME) else Path(text)
    return SigningKey(key, args.sign_cert)


def _print(output: Path, built: Built) -> None:
    from pykexec.image.recipe import WAYS

    print(f"{output}: {len(built.data)} bytes, {'signed' if built.signed else 'not signed'}")
    print(f"  kernel      {built.kernel.version}, {built.section_sizes['.linux']} bytes")
    print(
        f"  initramfs   {built.section_sizes['.initrd']} bytes, "
        f"{built.initrd_unpacked_size} unpacked"
    )
    print(f"  all but the kernel: {built.overhead_size} bytes")
    for what, names in WAYS.items() if built.modules else ():
        there = [name for name in names if name in built.modules]
        print(f"  {what:11} {'by ' if there else ''}{' '.join(there) or 'none'}")
    print(f"  Authenticode sha256 {built.authenticode.hex()}")
    for bank, value in built.pcr11.items():
        print(f"  PCR 11 {bank:6} {value.hex()}")
