# SPDX-License-Identifier: Apache-2.0
"""dom0 starts what was verified and measured, in order, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from pykexec.errors import FormatError, TpmError
from pykexec.launch.bundle import write_bundle
from pykexec.launch.dom0.bundle import BundleError, open_bundle
from pykexec.launch.dom0.command_lines import LaunchError, check_command_lines, xen_commandline
from pykexec.launch.dom0.domains import Domain
from pykexec.launch.dom0.measure import bundle_event, domain_event, predict
from pykexec.launch.dom0.pci import Topology
from pykexec.launch.dom0.settings import parse_settings
from pykexec.launch.dom0.start import World, launch
from pykexec.launch.dom0.xl import config
from pykexec.launch.predict import pcr4
from tests.unit.launch.inputs import (
    BUNDLE,
    CONTENTS,
    HIDDEN,
    KEY,
    NIC,
    PUBLIC,
    SERVICE,
    SETTINGS,
    USER,
    of_version,
    reading,
)
from tests.unit.launch.test_pci import function

INFO = """\
host                   : dom0
xen_version            : 4.17.5
xen_commandline        : console=com1
cc_compiler            : gcc
"""
OPENED = open_bundle(reading(BUNDLE), PUBLIC)
ALONE = {NIC: function(NIC)}


@dataclass
class Machine:
    """A dom0 that notes what is done to it, and its register."""

    data: bytes = BUNDLE
    info: str = INFO
    cmdline: str = "console=hvc0 quiet\n"
    topology: Topology = field(default_factory=lambda: dict(ALONE))
    fails: str = ""
    done: list[str] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)
    register: bytes = bytes(32)

    def extend(self, data: bytes) -> None:
        """As the TPM does."""
        if self.fails and self.fails in data.decode():
            raise TpmError("the TPM does not answer")
        self.register = hashlib.sha256(self.register + hashlib.sha256(data).digest()).digest()
        self.done.append("extend")

    def keep(self, path: str, chunks: Iterator[bytes]) -> str:
        """In memory."""
        self.kept[path] = b"".join(chunks)
        return f"/kept/{path}"

    def create(self, domain: Domain, text: str) -> None:
        """It runs."""
        assert all(f"/kept/{domain.name}/{path}" in text for path in domain.files)
        self.done.append(f"create {domain.name}")

    def launch(self) -> list[str]:
        """Start them."""
        world = World(
            xl_info=lambda: self.info,
            cmdline=lambda: self.cmdline,
            read=reading(self.data),
            extend=self.extend,
            keep=self.keep,
            disk=lambda guid: f"/dev/{guid}",
            topology=lambda: self.topology,
            create=self.create,
            say=self.done.append,
        )
        return launch(world, SETTINGS)


def test_domains_are_measured_and_then_started_in_their_order() -> None:
    machine = Machine()
    assert machine.launch() == ["filter", "pc"]
    assert machine.done == [
        "extend",
        "bundle office, version 7",
        "extend",
        "create filter",
        "domain filter: started",
        "extend",
        "create pc",
        "domain pc: started",
    ]
    assert machine.register == predict(OPENED)["pc"]
    assert machine.kept["filter/filter/kernel"] == b"K" * 5000


def test_each_register_is_another_and_an_event_fits() -> None:
    assert len(set(predict(OPENED).values())) == 3
    events = [bundle_event(OPENED), *(domain_event(OPENED, each) for each in OPENED.domains)]
    assert all(len(event) <= 1024 for event in events)
    other = replace(OPENED.domains[1], memory_mib=1024)
    assert domain_event(OPENED, other) != domain_event(OPENED, OPENED.domains[1])


@pytest.mark.parametrize(
    ("info", "cmdline", "fault"),
    [
        (INFO.replace("com1", "com1 loglvl=all"), "console=hvc0 quiet", "Xen's command line is"),
        (
            INFO,
            "console=hvc0 quiet init=/bin/sh",
            "dom0's command line is 'console=hvc0 quiet init",
        ),
        ("", "console=hvc0 quiet", "xl info: says nothing of xen_commandline"),
    ],
)
def test_with_other_command_lines_nothing_is_read_or_started(
    info: str, cmdline: str, fault: str
) -> None:
    machine = Machine(data=b"", info=info, cmdline=cmdline)
    with pytest.raises(LaunchError, match=fault):
        machine.launch()
    assert machine.done == []


def test_a_command_line_with_colons_is_read_whole() -> None:
    line = "dom0_mem=700M,max:700M com1=115200,8n1"
    assert xen_commandline(f"a : b\nxen_commandline        : {line}\n") == line
    check_command_lines(replace(SETTINGS, options=line), line, "console=hvc0 quiet\n")


def spoilt(path: str) -> bytes:
    """The bundle with the last byte of a file changed."""
    file = OPENED.file(path)
    at = file.offset + file.size - 1
    return BUNDLE[:at] + bytes([BUNDLE[at] ^ 1]) + BUNDLE[at + 1 :]


@pytest.mark.parametrize("path", ["filter/kernel", "filter/ramdisk"])
def test_a_service_domain_that_was_altered_does_not_start_nor_does_its_user(path: str) -> None:
    machine = Machine(data=spoilt(path))
    assert machine.launch() == []
    assert machine.register == predict(OPENED)[""]
    _, _, service, user = machine.done
    assert service.startswith(f"domain filter: bundle: {path}: its SHA-256 is")
    assert user == "domain pc: its service domain filter is not there: no network but that"


def test_a_user_domain_that_was_altered_does_not_start_and_leaves_the_other() -> None:
    machine = Machine(data=spoilt("pc/kernel"))
    assert machine.launch() == ["filter"]
    assert machine.register == predict(OPENED)["filter"]


def test_a_bundle_that_is_not_signed_is_not_measured() -> None:
    machine = Machine(data=BUNDLE[:-1].replace(b"office", b"offica", 1))
    with pytest.raises(BundleError, match="signature"):
        machine.launch()
    assert machine.register == bytes(32)


@pytest.mark.parametrize(("version", "starts"), [(6, False), (7, True), (8, True)])
def test_a_bundle_older_than_the_image_is_not_started(version: int, starts: bool) -> None:
    machine = Machine(data=of_version(version))
    if starts:
        assert machine.launch() == ["filter", "pc"]
        return
    with pytest.raises(BundleError, match="version 6 is older than 7"):
        machine.launch()
    assert machine.register == bytes(32)


def test_the_hidden_partition_is_no_domain_s_disk_whatever_the_bundle_says() -> None:
    domains = (SERVICE, replace(USER, disk=HIDDEN))
    machine = Machine(data=write_bundle(KEY, "office", 7, domains, CONTENTS))
    assert machine.launch() == ["filter"]
    assert machine.done[-1] == "domain pc: its disk is the hidden partition"


def test_a_tpm_that_takes_no_event_stops_what_it_is_about() -> None:
    with pytest.raises(TpmError):
        Machine(fails="bundle=").launch()
    machine = Machine(fails="domain=pc")
    assert machine.launch() == ["filter"]
    assert "create pc" not in machine.done


def test_a_device_that_goes_with_another_is_not_given_away() -> None:
    both = {f"0000:00:02.{n}": function(f"0000:00:02.{n}") for n in range(2)}
    machine = Machine(topology=both)
    assert machine.launch() == []
    assert (
        f"domain filter: {NIC}: cannot be told apart from 0000:00:02.1: all or none" in machine.done
    )


def test_settings_are_read_as_they_were_written() -> None:
    assert parse_settings(SETTINGS.encode()) == SETTINGS


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (PUBLIC.hex(), PUBLIC.hex()[2:], "launch.json.key: not 32 bytes"),
        (PUBLIC.hex(), "x" * 64, "launch.json.key: not 32 bytes"),
        ('"name"', '"nome"', "launch.json.name: missing"),
        ('"version": 7', '"version": -7', "launch.json.version: must be from 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(old: str, new: str, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        parse_settings(SETTINGS.encode().replace(old.encode(), new.encode()))


def test_xl_is_told_what_the_domain_is() -> None:
    assert config(SERVICE, "/k", "/r").splitlines() == [
        'name="filter"',
        'type="pv"',
        'kernel="/k"',
        "memory=192",
        "vcpus=1",
        'on_reboot="restart"',
        'on_crash="destroy"',
        'ramdisk="/r"',
        'cmdline="console=hvc0 iommu=soft"',
        "driver_domain=1",
        'passthrough="enabled"',
    ]
    assert config(USER, "/k", disk="/dev/sda3").splitlines()[-2:] == [
        'vif=["type=vif,backend=filter,mac=00:16:3e:00:00:02"]',
        'disk=["phy:/dev/sda3,xvda,w"]',
    ]


@pytest.mark.parametrize("text", ['"', "'", "\\", "\n"])
def test_nothing_gets_out_of_xl_s_quotes(text: str) -> None:
    with pytest.raises(FormatError, match="cannot stand in xl's configuration"):
        config(USER, f"/k{text}")


def test_pcr_4_is_what_a_measured_launch_had() -> None:
    # TCG PFP: SHA-256 of the action and of the separator, which every event log has.
    action, separator = (
        "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba",
        "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119",
    )
    value = bytes(32)
    for digest in (bytes.fromhex(action), bytes.fromhex(separator), bytes(31) + b"\1"):
        value = hashlib.sha256(value + digest).digest()
    assert pcr4([bytes(31) + b"\1"], "sha256") == value
