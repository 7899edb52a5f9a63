# SPDX-License-Identifier: Apache-2.0
"""From a booted dom0 to started domains: each step only after what it uses was verified and
measured; what fails is said, and nothing that rests on it is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pykexec.disk import Reader
from pykexec.launch.dom0.bundle import Bundle, check_version, chunks, open_bundle
from pykexec.launch.dom0.command_lines import LaunchError, check_command_lines, xen_commandline
from pykexec.launch.dom0.domains import Domain
from pykexec.launch.dom0.measure import bundle_event, domain_event
from pykexec.launch.dom0.pci import Topology, check_devices
from pykexec.launch.dom0.settings import Settings
from pykexec.launch.dom0.xl import config
from pykexec.steps import attempt


@dataclass(frozen=True, slots=True)
class World:
    """What the steps do to the machine; each raises PykexecError or OSError."""

    xl_info: Callable[[], str]
    cmdline: Callable[[], str]
    read: Reader
    """Of the bundle."""
    extend: Callable[[bytes], None]
    """An event into measure.PCR of the machine's TPM."""
    keep: Callable[[str, Iterator[bytes]], str]
    """Put a file into dom0's memory, where it is used from, and tell its path; what a part of it
    was put there from an iterator that raises is taken away again."""
    disk: Callable[[str], str]
    """The block device of a partition's GUID."""
    topology: Callable[[], Topology]
    create: Callable[[Domain, str], None]
    """A domain by its configuration, its PCI functions attached."""
    say: Callable[[str], None]


def launch(world: World, settings: Settings) -> list[str]:
    """Start the bundle's domains; the names of those that were started.

    LaunchError, BundleError or what the world raises where none may be: other command lines, no
    bundle of ours, one that is too old, a TPM that takes no event.
    """
    check_command_lines(settings, xen_commandline(world.xl_info()), world.cmdline())
    bundle = open_bundle(world.read, settings.key)
    check_version(bundle, settings.name, settings.version, settings.may_roll_back)
    world.extend(bundle_event(bundle))
    world.say(f"bundle {bundle.name}, version {bundle.version}")
    started: list[str] = []
    for domain in bundle.domains:
        step = partial(_start, world, settings, bundle, domain, tuple(started))
        if attempt(f"domain {domain.name}", step, False, world.say):
            world.say(f"domain {domain.name}: started")
            started.append(domain.name)
    return started


def _start(
    world: World, settings: Settings, bundle: Bundle, domain: Domain, started: tuple[str, ...]
) -> bool:
    if domain.network and domain.network not in started:
        raise LaunchError(f"its service domain {domain.network} is not there: no network but that")
    if domain.disk and domain.disk == settings.hidden:
        raise LaunchError("its disk is the hidden partition")
    check_devices(world.topology(), domain.devices)
    paths = {
        path: world.keep(f"{domain.name}/{path}", chunks(world.read, bundle.file(path)))
        for path in domain.files
    }
    disk = world.disk(domain.disk) if domain.disk else ""
    text = config(domain, paths[domain.kernel], paths.get(domain.ramdisk, ""), disk)
    world.extend(domain_event(bundle, domain))
    world.create(domain, text)
    return True
