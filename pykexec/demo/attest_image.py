# SPDX-License-Identifier: Apache-2.0
"""The image that attests, and what becomes of it in the hands of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pykexec.efi import pe
from pykexec.image import Built, Recipe, SigningKey, assemble, build, cpio
from pykexec.image.builder import described
from pykexec.image.recipe import DATA
from pykexec.image.sign import sign
from pykexec.vm.kernels import Kernel

PAYLOAD_PATH = r"\EFI\Linux\os.efi"
ESP_LABEL = "ESP"
MORE_WORDS = "iommu=off"
MORE_FILE = "etc/profile"
_SECTIONS = (".osrel", ".cmdline", ".uname", ".initrd", ".linux")

_CONFIG = '''\
# Part of the image: what is in here is in PCR 4.
locked = true

[attest]
server = "{server}"
timeout_s = 60
{options}
[payload]
path = '{path}'
volume = "{volume}"
{payload}
[failure]
action = "reset"

[agent]
shell = false

[network]
ca = """
{authority}"""
'''


def attested_config(
    server: str, authority: str, path: str, *, options: str = "", payload: str = ""
) -> str:
    """agent.toml of a machine that attests to server, for which authority (PEM) vouches, and starts
    path of the volume ESP_LABEL.

    options are more lines of [attest], payload of [payload], and tables behind it.
    """
    return _CONFIG.format(
        server=server,
        options=options,
        path=path,
        volume=ESP_LABEL,
        payload=payload,
        authority=authority,
    )


def build_image(directory: Path, os_kernel: Kernel, signing: SigningKey, text: str) -> Built:
    """The image with this agent.toml."""
    config = directory / "agent.toml"
    config.write_text(text)
    recipe = Recipe(
        kernel=os_kernel.image,
        modules=os_kernel.modules,
        config=config,
        signing=signing,
    )
    return build(recipe)


def with_another_command_line(image: bytes, signing: SigningKey) -> bytes:
    """The image, with MORE_WORDS for its kernel: all that somebody needs who does without IOMMU."""
    return _changed(image, signing, ".cmdline", lambda old: old + f" {MORE_WORDS}".encode())


def with_another_file(image: bytes, signing: SigningKey) -> bytes:
    """The image, with MORE_FILE in its initramfs."""
    more = cpio.archive([cpio.file(MORE_FILE, b"# run by every shell\n")])
    return _changed(image, signing, ".initrd", lambda old: old + more)


def _changed(
    image: bytes, signing: SigningKey, name: str, change: Callable[[bytes], bytes]
) -> bytes:
    """What whoever may sign can do: the same sections, but for one, behind our stub."""
    parsed = pe.parse(image, "image")
    found = {section.name: pe.section_data(image, section) for section in parsed.sections}
    parts = {part: found[part] for part in _SECTIONS}
    parts[name] = change(parts[name])
    stub = (DATA / "stub.efi").read_bytes()
    unsigned = assemble.append_sections(stub, "stub", described(stub, "stub", parts))
    return sign(unsigned, signing)
