# SPDX-License-Identifier: Apache-2.0
"""A kernel with the patches of kernel-patches/, built once for each content and kept.

The result has the shape of an unpacked Debian kernel package. The build says the same time, user
and host always; what differs between two builds of the same content is the key that signs the
modules: the kernel makes one for each build tree, and nobody else may have it, since modules
are loaded under lockdown by it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pykexec.errors import FormatError, ToolError
from pykexec.run import run
from pykexec.vm import kernel_source

log = logging.getLogger(__name__)

# Name for kernels.kernel(), and the version of the source that it is built from.
BUILT = {"6.12-pykexec": "6.12"}
CONFIG = "config"

_ENVIRONMENT = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "pykexec",
    "KBUILD_BUILD_HOST": "pykexec",
    "KBUILD_BUILD_VERSION": "1",
    "LC_ALL": "C",
    # This may run below a make, whose options and jobs are not for that of the kernel.
    "MAKEFLAGS": "",
}
_TARGETS = ("bzImage", "modules")
_TIMEOUT_S = 4 * 3600.0
_SETTING = re.compile(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$")


def find(name: str, patches: Path = kernel_source.PATCHES) -> Path:
    """The directory of the kernel called name in BUILT; ToolError if it is not built."""
    path = _path(BUILT[name], patches)
    if not path.is_dir():
        raise ToolError(f"{name}: not built in its present state: run `make kernel`")
    return path


def build(version: str = kernel_source.VERSION, patches: Path = kernel_source.PATCHES) -> Path:
    """Build the kernel of version with its series unless that was done; its directory.

    patches is the directory of series and config.
    """
    with kernel_source.locked("kernel"):
        path = _path(version, patches)
        if path.is_dir():
            log.info("%s is built already", path)
            return path
        tree = kernel_source.patched(version, "kernel", kernel_source.series(version, patches))
        output = kernel_source.home() / "build" / tree.name
        configure(tree, output, (patches / CONFIG).read_text())
        log.info("building Linux %s in %s: ten minutes or more", version, output)
        make(tree, output, *_TARGETS)
        _install(tree, output, path)
        return path


def configure(
    tree: Path,
    output: Path,
    config: str,
    *,
    required: str | None = None,
    options: Mapping[str, str] | None = None,
) -> None:
    """Configure output as config says; FormatError names what the kernel does not accept of it.

    required are the settings that have to hold, those of config if it is None. options are
    variables for make, ARCH for instance.
    """
    output.mkdir(parents=True, exist_ok=True)
    (output / ".config").write_text(config)
    make(tree, output, "olddefconfig", options=options)
    taken = settings((output / ".config").read_text())
    mentioned = {name for name, _ in taken}
    missing = settings(config if required is None else required) - taken
    # What depends on something that is off is not mentioned at all.
    missing = {(name, to) for name, to in missing if to != "n" or name in mentioned}
    if missing:
        words = " ".join(f"{name}={value}" for name, value in sorted(missing))
        raise FormatError(f"{tree.name}: the configuration does not take {words}")


def settings(config: str) -> set[tuple[str, str]]:
    """Name and value of every symbol that a .config sets; "n" if it says "is not set"."""
    matches = [match for line in config.splitlines() if (match := _SETTING.match(line))]
    return {(match[1], match[2]) if match[1] else (match[3], "n") for match in matches}


def make(tree: Path, output: Path, *targets: str, options: Mapping[str, str] | None = None) -> str:
    """Run the kernel's make; what it and the compilers said; ToolError with the end of that."""
    jobs = len(os.sched_getaffinity(0))
    command = ["make", "-C", str(tree), f"O={output}", f"-j{jobs}", *_words(options or {})]
    # Errors of compilers are on one stream, the files that they are about on the other.
    merged = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *command, *targets]
    return run(merged, env=_ENVIRONMENT, timeout_s=_TIMEOUT_S).decode(errors="replace")


def make_list(listing: Path, options: Mapping[str, str]) -> str:
    """What a makefile that asks that of the kernel says."""
    command = ["make", "--silent", "--no-print-directory", "--file", str(listing), *_words(options)]
    return run(command, env=_ENVIRONMENT, timeout_s=60).decode()


def _words(options: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


def _install(tree: Path, output: Path, path: Path) -> None:
    """Whoever finds the directory finds it complete: it gets its name last."""
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "boot").mkdir(parents=True)
    options = {"INSTALL_MOD_PATH": str(partial), "DEPMOD": "true"}
    make(tree, output, "modules_install", options=options)
    release = (output / "include/config/kernel.release").read_text().strip()
    for link in ("build", "source"):
        (partial / "lib/modules" / release / link).unlink(missing_ok=True)
    shutil.copyfile(output / "arch/x86/boot/bzImage", partial / "boot" / f"vmlinuz-{release}")
    partial.rename(path)


def _path(version: str, patches: Path) -> Path:
    return kernel_source.home() / "built" / _key(version, patches)


def _key(version: str, patches: Path) -> str:
    """Of everything that decides what is built."""
    texts: Sequence[bytes] = (
        kernel_source.package_dir(version).name.encode(),
        repr((_ENVIRONMENT, _TARGETS)).encode(),
        (patches / CONFIG).read_bytes(),
        *(patch.read_bytes() for patch in kernel_source.series(version, patches)),
        *(run([tool, "--version"]).splitlines()[0] for tool in ("gcc", "ld", "make")),
    )
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:16]
