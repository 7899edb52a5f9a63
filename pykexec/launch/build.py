# SPDX-License-Identifier: Apache-2.0
"""Making a launch: manifest in, signed unified xen.efi and signed bundle out; nothing is written
anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pykexec.efi import pe
from pykexec.errors import FormatError
from pykexec.image import bzimage, files, initrd, kernel_config, measure, modules, sign
from pykexec.launch import userland
from pykexec.launch.bundle import public_bytes, write_bundle
from pykexec.launch.dom0 import measure as dom0_measure
from pykexec.launch.dom0.bundle import Bundle, BundleError, check_version, open_bundle
from pykexec.launch.dom0.domains import Domain
from pykexec.launch.dom0.settings import Settings
from pykexec.launch.manifest import Manifest
from pykexec.launch.predict import pcr4
from pykexec.launch.unified import Parts, unify, version

log = logging.getLogger(__name__)

_NEEDED = ("XEN_DOM0", "XEN_PV")
"""Without them a kernel hangs where Xen starts it as dom0."""


@dataclass(frozen=True, slots=True)
class Built:
    """A launch and what is known about it; digests by bank."""

    image: bytes
    bundle: bytes
    xen_version: str
    kernel_version: str
    initramfs_size: int
    initramfs_unpacked_size: int
    authenticode: Mapping[str, bytes]
    pcr4: Mapping[str, bytes]
    """After launcher, if one is given, and the image."""
    pcr13: Mapping[str, bytes]
    """SHA-256: after the bundle (""), and after each domain."""
    signed: bool


def build(
    manifest: Manifest,
    key: Ed25519PrivateKey,
    signing: sign.SigningKey | None = None,
    launcher: bytes | None = None,
    before: bytes | None = None,
) -> Built:
    """Make what manifest describes; a PykexecError names the input that is at fault.

    key signs the bundle, signing the image. launcher is our image, which starts this one. before
    is the bundle whose place this one takes: it must not be newer.
    """
    if before is not None:
        _check_not_older(manifest, key, before)
    for name, said in (("network", manifest.network), ("management", manifest.server)):
        if said:
            log.warning("[%s]: nothing acts on it yet: the service domain brings its own", name)
    domains, contents = _contents(manifest)
    bundle = write_bundle(key, manifest.name, manifest.version, domains, contents)
    kernel_data = files.read(manifest.kernel)
    kernel = bzimage.parse(kernel_data, str(manifest.kernel))
    ramdisk, unpacked_size = _initramfs(manifest, key, kernel, kernel_data)
    xen = files.read(manifest.xen)
    parts = Parts(
        options=manifest.options,
        cmdline=manifest.cmdline,
        kernel=kernel_data,
        ramdisk=ramdisk,
        ucode=files.read(manifest.ucode) if manifest.ucode else b"",
        xsm=files.read(manifest.xsm) if manifest.xsm else b"",
    )
    data = unify(xen, str(manifest.xen), parts)
    if signing:
        data = sign.sign(data, signing)
    started = [*([launcher] if launcher is not None else []), data]
    digests = {
        bank: [pe.authenticode_digest(each, pe.parse(each, "image"), bank) for each in started]
        for bank in measure.BANKS
    }
    return Built(
        image=data,
        bundle=bundle,
        xen_version=version(xen, str(manifest.xen)),
        kernel_version=kernel.version,
        initramfs_size=len(ramdisk),
        initramfs_unpacked_size=unpacked_size,
        authenticode={bank: found[-1] for bank, found in digests.items()},
        pcr4={bank: pcr4(found, bank) for bank, found in digests.items()},
        pcr13=dom0_measure.predict(opened(bundle, public_bytes(key))),
        signed=signing is not None,
    )


def opened(data: bytes, key: bytes) -> Bundle:
    """A bundle in memory; BundleError."""
    return open_bundle(lambda offset, size: data[offset : offset + size], key)


def _check_not_older(manifest: Manifest, key: Ed25519PrivateKey, before: bytes) -> None:
    try:
        old = opened(before, public_bytes(key))
    except BundleError as error:
        raise FormatError(f"what the new bundle is to replace: {error}") from None
    new = replace(old, name=manifest.name, version=manifest.version)
    check_version(new, old.name, old.version, manifest.may_roll_back)


def _contents(manifest: Manifest) -> tuple[list[Domain], dict[str, bytes]]:
    """Domains as the bundle names their files, and these, each once, though domains share it."""
    contents: dict[str, bytes] = {}
    by_data: dict[bytes, str] = {}
    domains = []

    def add(path: str, source: Path) -> str:
        data = files.read(source)
        known = by_data.setdefault(data, path)
        contents.setdefault(known, data)
        return known

    for domain in manifest.domains:
        kernel = add(f"{domain.name}/kernel", Path(domain.kernel))
        ramdisk = add(f"{domain.name}/ramdisk", Path(domain.ramdisk)) if domain.ramdisk else ""
        domains.append(replace(domain, kernel=kernel, ramdisk=ramdisk))
    for path, source in manifest.files:
        if path in contents:
            raise FormatError(f"file: {path!r} is in the bundle already")
        contents[path] = files.read(source)
    return domains, contents


def _initramfs(
    manifest: Manifest, key: Ed25519PrivateKey, kernel: bzimage.Kernel, data: bytes
) -> tuple[bytes, int]:
    directory = manifest.modules or modules.find(manifest.kernel, kernel.version)
    options = kernel_config.read(manifest.kernel, data, kernel.version, directory)
    if options is None:
        log.warning("%s: what it was built with is not to be found", manifest.kernel)
    elif missing := [name for name in _NEEDED if name not in options]:
        raise FormatError(f"{manifest.kernel}: no kernel for dom0: it has no CONFIG_{missing[0]}")
    held = Settings(
        name=manifest.name,
        options=manifest.options,
        cmdline=manifest.cmdline,
        key=public_bytes(key),
        version=manifest.version,
        may_roll_back=manifest.may_roll_back,
        hidden=manifest.hidden,
    )
    found = modules.load(directory, userland.MODULES, userland.OPTIONAL)
    pack = initrd.packer(options)
    return userland.compose(manifest.roots, found, kernel.version, held, pack)
