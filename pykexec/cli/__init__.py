# SPDX-License-Identifier: Apache-2.0
"""The command line: finds the verb, prints its errors, returns its exit code.

A verb is a module beside this one with HELP, EXAMPLES, configure(parser) and main(args) -> int.
Only the one that was asked for is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from pykexec.about import REPORTS_TO, version
from pykexec.errors import PykexecError
from pykexec.log import describe

VERBS = (
    "status",
    "memmap",
    "devices",
    "eventlog",
    "attest",
    "bridge",
    "net",
    "exec",
    "load-driver",
    "ramdisk",
    "windows",
    "leave",
    "verify-firmware",
    "build",
    "install",
    "launch",
    "certify",
    "inspect",
    "policy",
    "serve",
    "server",
    "netboot",
    "demo",
)

DESCRIPTION = "Linux as a UEFI boot loader: start EFI applications and give the firmware back."
EPILOG = f"""\
exit codes: 0 done, 1 other failure, 2 wrong usage, 3 bad file or format, 4 a tool failed,
5 kexec refused, 6 attestation denied, 7 TPM, 8 firmware (or not under live boot services),
9 network

reports of faults and of security holes: {REPORTS_TO}
"""


EXAMPLES_TITLE = "examples:\n"
"""What stands before the examples in a verb's epilog; a line for each of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code, or that of the error, which is printed as one line."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = make_parser(words).parse_args(words)
    if args.verbose:
        from pykexec.log import configure

        configure(verbose=True)
    try:
        code: int = args.main(args)
        sys.stdout.flush()
        return code
    except PykexecError as error:
        print(f"pykexec: {describe(error)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader has seen enough; keep the interpreter from flushing into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"pykexec: {describe(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for a command line: of the verb in it, or of all where there is none."""
    parser = argparse.ArgumentParser(
        prog="pykexec",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # In a checkout git is asked: only when somebody wants to know.
    own = version() if any(word.startswith("--vers") for word in words) else ""
    parser.add_argument("--version", action="version", version=f"pykexec {own}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what is done")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    verb = next((word for word in words if not word.startswith("-")), None)
    for name in (verb,) if verb in VERBS else VERBS:
        module_name = f"{__name__}.{name.replace('-', '_')}"
        if name == verb or find_spec(module_name):  # The initramfs holds only some of them.
            _add_verb(verbs, name, module_name)
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, module_name: str
) -> None:
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        verbs.add_parser(name).set_defaults(main=_refuse, verb=name, missing=error.name)
        return
    parser = verbs.add_parser(
        name,
        help=module.HELP,
        description=module.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    notes = f"{parser.epilog}\n" if parser.epilog else ""
    examples = "".join(f"  {line}\n" for line in module.EXAMPLES.strip().splitlines())
    parser.epilog = notes + EXAMPLES_TITLE + examples
    parser.set_defaults(main=module.main)


def _refuse(args: argparse.Namespace) -> int:
    from pykexec.errors import UsageError

    raise UsageError(f"{args.verb}: not available in this installation ({args.missing} is missing)")
