# SPDX-License-Identifier: Apache-2.0
"""A manifest: what is accepted, and what each fault says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import ConfigError
from pykexec.launch.lines import place, places
from pykexec.launch.manifest import Network, parse_manifest
from tests.unit.launch.inputs import HIDDEN, MANIFEST, NIC

USER_LINE = MANIFEST[: MANIFEST.index('name = "pc"')].count("\n") + 1


def test_every_part_is_read() -> None:
    found = parse_manifest(MANIFEST.encode(), "m.toml")
    assert (found.name, found.version, found.hidden) == ("office", 7, HIDDEN)
    assert found.options == "console=com1 dom0_mem=700M,max:700M"
    assert [(each.name, each.role, each.type) for each in found.domains] == [
        ("filter", "service", "pv"),
        ("pc", "user", "pvh"),
    ]
    out = (("tcp", 443), ("udp", 123))
    assert found.network == Network(out, "10.0.0.53", "192.168.77.0/24")
    assert found.server == "https://keys.example:8443"
    assert found.files == (("sigdb/main.cvd", Path("main.cvd")),)
    assert (found.roots, found.may_roll_back) == ((Path("/"),), False)


def edited(old: str, new: str) -> bytes:
    assert old in MANIFEST
    return MANIFEST.replace(old, new).encode()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('options = "console', 'optoins = "console', "line 6: xen.optoins: unknown key"),
        ("[hidden]", "[hiden]", "line 11: hiden: unknown key"),
        ('name = "pc"', 'name = "pc"\nvtpm = 1', rf"line {USER_LINE + 1}: domain\[1\].vtpm: un"),
        (
            'mac = "', f'type = "pv"\ndevices = ["{NIC}"]\nmac = "',
            rf"line {USER_LINE + 5}: domain\[1\].devices: '{NIC}' is filter's already",
        ),
        (
            'network = "filter"', 'network = "other"',
            r"domain\[1\].network: there is no service domain 'other'",
        ),
        ('role = "service"', 'role = "user"', r"domain\[1\].network: there is no service domain"),
        (
            'mac = "', f'disk = "{HIDDEN}"\nmac = "',
            r"domain\[1\].disk: is the hidden partition",
        ),
        ('mac = "', f'devices = ["{NIC}"]\nmac = "', r"domain\[1\].devices: Xen passes none to a"),
        (f'["{NIC}"]', f'["{NIC}", "{NIC}"]', r"domain\[0\].devices: '0000:00:02.0' is filter's"),
        (f'["{NIC}"]', '["00:02.0"]', "'00:02.0' is no PCI function"),
        ('name = "pc"', 'name = "filter"', r"domain\[1\].name: 'filter' is filter's already"),
        ('name = "pc"', 'name = "PC"', r"domain\[1\].name: 'PC' is no name of a domain"),
        ("memory_mib = 2048", "memory_mib = 1", r"domain\[1\].memory_mib: must be a number"),
        ('"00:16:3e:00:00:02"', '"52:54:00:12:34:56"', r"domain\[1\].mac: .* is none of Xen's"),
        ('mac = "00:16:3e:00:00:02"\n', "", r"domain\[1\].mac: goes with network"),
        ("console=com1", "console=com1 dom0_mem=1G", "xen.options: dom0_mem comes from"),
        ("console=com1", "console=com1 -- init=/x", "xen.options: has '--'"),
        ("console=com1", "a # b", "xen.options: has a '#'"),
        ("version = 7", "version = 0", "line 2: version: must be a number from 1"),
        ("version = 7\n", "", "version: missing"),
        (f'"{HIDDEN.upper()}"', '"none"', "line 12: hidden.partition: 'none' is no GUID"),
        ('"tcp/443"', '"https"', "network.out: 'https' is no service"),
        ('"tcp/443"', '"tcp/99999"', "network.out: 'tcp/99999' is no service"),
        ('"10.0.0.53"', '"ns"', "network.resolver: 'ns' does not appear to be"),
        ("https://keys", "http://keys", "management.server: must begin with https"),
        ('kernel = "/boot/vmlinuz"\n\n[hidden]', "[hidden]", "dom0.kernel: missing"),
        ('name = "office"\n', "name = \n", "not TOML"),
    ],
)  # fmt: skip
def test_a_fault_names_line_and_key(old: str, new: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=f"^m.toml: .*{fault}"):
        parse_manifest(edited(old, new), "m.toml")


def test_a_service_domain_behind_its_user_or_with_a_virtual_nic_is_refused() -> None:
    first, filter_, pc = MANIFEST.partition("[network]")[0].split("[[domain]]")
    turned = "[[domain]]".join([first, pc, filter_])
    with pytest.raises(ConfigError, match=r"domain\[1\].role: a service domain starts before"):
        parse_manifest(turned.encode(), "m.toml")
    both = MANIFEST.replace('role = "service"', 'role = "service"\nnetwork = "filter"')
    both = both.replace("memory_mib = 192", 'memory_mib = 192\nmac = "00:16:3e:00:00:01"')
    with pytest.raises(ConfigError, match=r"domain\[0\].network: a service domain owns a NIC"):
        parse_manifest(both.encode(), "m.toml")


def test_a_network_policy_without_a_service_domain_is_refused() -> None:
    text = MANIFEST.replace('role = "service"\n', "").replace('network = "filter"\n', "")
    text = text.replace('mac = "00:16:3e:00:00:02"\n', "")
    with pytest.raises(ConfigError, match=r"line \d+: network: there is no service domain to keep"):
        parse_manifest(text.encode(), "m.toml")


@pytest.mark.parametrize("text", ["domain = 1", "domain = [1]"])
def test_domains_that_are_no_tables_are_named(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^m.toml: line 1: domain: must be tables, \[\[domain\]\]"
    ):
        parse_manifest(text.encode(), "m.toml")


def test_lines_are_found_in_tables_and_arrays_of_them() -> None:
    found = places("a = 1\n[t]\nb = 1\n\n[[d]]\nc = 1\n[[d]]\n c=2\n")
    assert found == {"a": 1, "t": 2, "t.b": 3, "d[0]": 5, "d[0].c": 6, "d[1]": 7, "d[1].c": 8}
    assert (place(found, "d[1].x"), place(found, "d[1].c")) == ("line 7: ", "line 8: ")
    assert place(found, "nothing") == ""
