# SPDX-License-Identifier: Apache-2.0
"""Making an image: recipe in, signed unified kernel image out; nothing is written anywhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pykexec.abi import Limit
from pykexec.about import NUMBER, version
from pykexec.config.agent import parse_config
from pykexec.efi import pe
from pykexec.errors import ConfigError, FormatError, UsageError
from pykexec.firmware import description
from pykexec.image import (
    assemble,
    bzimage,
    files,
    initrd,
    kernel_config,
    measure,
    modules,
    sbat,
    sign,
)
from pykexec.image.recipe import Recipe

log = logging.getLogger(__name__)

_MIB = 1 << 20
_Modules = dict[str, list[modules.Module]]


@dataclass(frozen=True, slots=True)
class Built:
    """An image and what is known about it."""

    data: bytes
    kernel: bzimage.Kernel
    section_sizes: Mapping[str, int]
    """Bytes of each section that was appended."""
    initrd_unpacked_size: int
    modules: tuple[str, ...]
    """Of those that were wished for, what the kernel has, in files or built in."""
    pcr11: Mapping[str, bytes]
    """Expected value of PCR 11 for each bank, where the image extends it."""
    authenticode: bytes
    """SHA-256, as the signature database and PCR 4's events hold it."""
    signed: bool
    sbom: bytes
    """The bill of materials, CycloneDX in JSON."""

    @property
    def overhead_size(self) -> int:
        """Bytes of the image that are not the kernel."""
        return len(self.data) - self.section_sizes[".linux"]


def build(recipe: Recipe) -> Built:
    """Make the image that recipe describes; a PykexecError names the input that is at fault."""
    from pykexec.image import sbom  # Slow, and who only looks at images does without.

    kernel_data = files.read(recipe.kernel)
    kernel = bzimage.parse(kernel_data, str(recipe.kernel))
    if not kernel.loads_initrd:
        fault = "its EFI stub does not ask for an initramfs (LoadFile2), as Linux 5.8 and newer do"
        raise FormatError(f"{recipe.kernel}: {fault}")
    config = files.read(recipe.config) if recipe.config else b""
    agent = parse_config(config, str(recipe.config))
    if agent.attest and not agent.network.authorities:
        fault = "network.ca is missing: it vouches for the server"
        raise ConfigError(f"{recipe.config}: attest: {fault}")
    cmdline = _cmdline(recipe, kernel)
    directory = _modules_directory(recipe, kernel)
    options = kernel_config.read(recipe.kernel, kernel_data, kernel.version, directory)
    found = _modules(recipe, kernel, directory)
    _tell(recipe, kernel, options, found)
    composed = _initrd(recipe, kernel, config, found, options)
    _check_arena(recipe, kernel, kernel_data, composed)
    sections = {
        ".osrel": _os_release(kernel).encode(),
        ".cmdline": cmdline,
        ".uname": kernel.version.encode(),
        ".initrd": composed.data,
        ".linux": kernel_data,
    }
    stub = files.read(recipe.stub)
    front = sbat.with_kernel(stub, str(recipe.stub), kernel_data, str(recipe.kernel))
    sections = described(front, str(recipe.stub), sections)
    data = assemble.append_sections(front, str(recipe.stub), sections)
    if recipe.signing:
        data = sign.sign(data, recipe.signing)
    image = pe.parse(data, "image")
    log.info("image: kernel %s, initramfs %d bytes", kernel.version, len(composed.data))
    return Built(
        data=data,
        kernel=kernel,
        section_sizes={name: len(content) for name, content in sections.items()},
        initrd_unpacked_size=composed.unpacked_size,
        modules=tuple(found),
        pcr11=measure.expected(description.measured_sections(data, image)),
        authenticode=pe.authenticode_digest(data, image),
        signed=recipe.signing is not None,
        sbom=sbom.encode(
            data,
            kernel=kernel,
            source=recipe.kernel,
            linux=kernel_data,
            stub=stub,
            initrd=composed,
        ),
    )


def described(stub: bytes, source: str, sections: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sections to be appended to a stub (source names it in errors), and before them what the
    image then says of all that it has.
    """
    own = description.measured_sections(stub, pe.parse(stub, source))
    return {description.DESCRIPTION: description.describe({**own, **sections}), **sections}


def _cmdline(recipe: Recipe, kernel: bzimage.Kernel) -> bytes:
    cmdline = recipe.full_cmdline.encode()
    room = kernel.cmdline_size - Limit.PARAMETERS_MAX
    if len(cmdline) >= room:
        fault = f"{recipe.kernel} takes {kernel.cmdline_size}, of which {room} are free"
        raise UsageError(f"command line of {len(cmdline)} bytes: {fault}")
    return cmdline


def _modules_directory(recipe: Recipe, kernel: bzimage.Kernel) -> Path:
    if not kernel.version:
        raise FormatError(f"{recipe.kernel}: the kernel does not say its version")
    return recipe.modules or modules.find(recipe.kernel, kernel.version)


def _tell(
    recipe: Recipe, kernel: bzimage.Kernel, options: frozenset[str] | None, found: _Modules
) -> None:
    """Warn of what the image will not do, or do slowly, for the kernel's sake."""
    if options is None:
        log.info("%s: what it was built with is not to be found", recipe.kernel)
    if kernel_config.is_older_than_tried(kernel.version):
        log.warning("%s: older than any Linux that was tried", recipe.kernel)
    names = found if recipe.has_modules else None
    for fault in kernel_config.lacks(options, names):
        log.warning("%s: %s", recipe.kernel, fault)
    unsigned = {each.name for order in found.values() for each in order if not each.is_signed}
    if unsigned:
        words = "nobody signed them, and a kernel that locks itself down loads none such"
        log.warning("%s: modules %s: %s", recipe.kernel, " ".join(sorted(unsigned)), words)


def _initrd(
    recipe: Recipe,
    kernel: bzimage.Kernel,
    config: bytes,
    found: _Modules,
    options: frozenset[str] | None,
) -> initrd.Initrd:
    return initrd.compose(
        kernel_version=kernel.version,
        modules=found,
        at_boot=recipe.kernel_modules,
        config=config,
        resume=files.read(recipe.resume),
        ramdisk=_ramdisk(recipe),
        busybox=recipe.busybox,
        additions=recipe.initrd_add,
        pack=initrd.packer(options),
    )


def _modules(recipe: Recipe, kernel: bzimage.Kernel, directory: Path) -> _Modules:
    if not recipe.has_modules:
        return {}  # A kernel without modules has no directory of them.
    names = recipe.kernel_modules + recipe.more_modules
    found = modules.load(directory, names, recipe.optional_modules)
    for each in (module for order in found.values() for module in order):
        if each.release and each.release != kernel.version:
            fault = f"is for Linux {each.release}, and {recipe.kernel} is {kernel.version}"
            raise FormatError(f"{each.source}: {fault}")
    return found


def _ramdisk(recipe: Recipe) -> bytes:
    """The driver that the firmware loads as it loads any: under Secure Boot it has to be signed."""
    data = files.read(recipe.ramdisk)
    return sign.sign(data, recipe.signing) if recipe.signing else data


def _check_arena(
    recipe: Recipe, kernel: bzimage.Kernel, kernel_data: bytes, composed: initrd.Initrd
) -> None:
    """Refuse what cannot fit: the kernel as a file and unpacked, the initramfs packed and
    unpacked.
    """
    image = pe.parse(kernel_data, str(recipe.kernel))
    needed = image.size_of_image + kernel.init_size + len(composed.data) + composed.unpacked_size
    if needed > recipe.arena_mib * _MIB:
        raise UsageError(
            f"{recipe.kernel}: does not fit into an arena of {recipe.arena_mib} MiB: "
            f"kernel and initramfs alone take {-(-needed // _MIB)} MiB"
        )


def _os_release(kernel: bzimage.Kernel) -> str:
    return (
        'NAME="pykexec"\n'
        "ID=pykexec\n"
        f'VERSION="{version()}"\n'
        f"VERSION_ID={NUMBER}\n"
        f'PRETTY_NAME="pykexec {version()} (Linux {kernel.version})"\n'
    )
