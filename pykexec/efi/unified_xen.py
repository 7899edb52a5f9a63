# SPDX-License-Identifier: Apache-2.0
"""Xen's unified image: hypervisor, its command line, dom0's kernel and initramfs in one EFI
application, which one signature and one event of PCR 4 cover (Xen, docs/misc/efi.pandoc).

Xen reads from the disk what its configuration names and no section holds, and takes load options
that nobody measured. So a verified launch takes no image but one that leaves nothing to be named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pykexec.efi import pe
from pykexec.errors import FormatError

CONFIG, KERNEL, RAMDISK, UCODE, XSM = ".config", ".kernel", ".ramdisk", ".ucode", ".xsm"
REQUIRED = (CONFIG, KERNEL, RAMDISK)
SECTIONS = (*REQUIRED, UCODE, XSM)
"""What Xen looks for in itself on x86."""
LINE_MAX = 1000
"""Characters of a command line: Xen and a domain's start page have 1024 (xen_commandline_t)."""
# Xen wants a name for the kernel, though it has the section; other files it is not to look for.
_TEMPLATE = "[global]\ndefault=launch\n[launch]\noptions={}\nkernel=kernel{}\n"
_CONFIG = re.compile(
    r"\[global\]\ndefault=launch\n\[launch\]\noptions=([ -~]*)\nkernel=kernel((?: [ -~]*)?)\n"
)


@dataclass(frozen=True, slots=True)
class UnifiedXen:
    """What the built-in configuration of such an image says."""

    options: str
    """Xen's command line, as dom0 finds it in xen_commandline."""
    cmdline: str
    """dom0's."""


def line_fault(text: str) -> str:
    """Why a command line cannot be in the configuration; "" if it can."""
    if not text.isascii() or not text.isprintable():
        return "must be printable ASCII"
    if text != " ".join(text.split(" ")).strip() or "  " in text:
        return "has spaces that Xen would drop"
    if "#" in text:
        return "has a '#', which begins a comment of Xen's"
    if " -- " in f" {text} ":
        return "has '--', behind which Xen takes words for dom0 that xen_commandline does not show"
    if len(text) > LINE_MAX:
        return f"{len(text)} characters, at most {LINE_MAX} are taken"
    return ""


def encode_config(options: str, cmdline: str) -> bytes:
    """What .config holds; FormatError for a command line that cannot be in it."""
    for name, text in (("options", options), ("cmdline", cmdline)):
        if fault := line_fault(text):
            raise FormatError(f"{name}: {fault}")
    return _TEMPLATE.format(options, f" {cmdline}" if cmdline else "").encode()


def parse_config(data: bytes) -> UnifiedXen:
    """The same from .config; FormatError unless encode_config() could have made it.

    Others may name files ("ramdisk=", "chain="), which Xen would read from the disk.
    """
    found = _CONFIG.fullmatch(data.decode("ascii", "replace"))
    if not found:
        raise FormatError(f"section {CONFIG}: not as `pykexec launch build` writes it")
    config = UnifiedXen(found[1], found[2].removeprefix(" "))
    for text in (config.options, config.cmdline):
        if fault := line_fault(text):
            raise FormatError(f"section {CONFIG}: a command line {fault}")
    return config


def check_unified(data: bytes, source: str) -> UnifiedXen:
    """An EFI application that is the whole of a verified launch; FormatError names source and what
    it would take from elsewhere.
    """
    image = pe.check_application(data, source)
    names = [section.name for section in image.sections]
    for name in REQUIRED:
        if name not in names:
            raise FormatError(f"{source}: no section {name}: not a unified xen.efi")
    for name in SECTIONS:
        if names.count(name) > 1:
            raise FormatError(f"{source}: more than one section {name}")
    for section in (found for name in SECTIONS if (found := image.section(name))):
        if not 0 < section.virtual_size <= section.size_in(len(data)):
            raise FormatError(f"{source}: section {section.name}: not all of it is in the file")
    config = image.section(CONFIG)
    assert config is not None
    if config.virtual_size > 4 * LINE_MAX:
        raise FormatError(f"{source}: section {CONFIG}: {config.virtual_size} bytes are too many")
    try:
        return parse_config(pe.section_data(data, config))
    except FormatError as error:
        raise FormatError(f"{source}: {error}") from None
