# SPDX-License-Identifier: Apache-2.0
"""NICs are brought on line one by one: a bad word of one network, one bad route ends nothing."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pykexec.errors import FirmwareError, FormatError, NetworkError
from pykexec.linux.interface import Interface
from pykexec.net import configure
from pykexec.net.configure import Online, bring_up
from pykexec.run import run
from pykexec.vm.lan import TAP, Lan

APPLY = f"""
import ipaddress, logging
from pykexec.linux.interface import Interface
from pykexec.net.configure import apply
from pykexec.net.lease import Lease, Route, default_route
logging.basicConfig(format="%(message)s")
address = ipaddress.ip_address
interface = Interface("{TAP}")
own, elsewhere = ipaddress.ip_network("10.9.0.0/16"), ipaddress.ip_network("10.8.0.0/16")
routes = (Route(own, address("10.77.0.255")), Route(elsewhere, address("10.77.0.2")))
apply(interface, Lease("test", (ipaddress.ip_interface("10.77.0.1/24"),), routes))
"""


def test_what_linux_refuses_of_a_lease_leaves_the_rest_in_force() -> None:
    with Lan(["10.7.0.1/24"]) as lan:
        said = run([*lan.within, "sh", "-c", f"{sys.executable} -c '{APPLY}' 2>&1"]).decode()
        routes = run([*lan.within, "ip", "route"]).decode()
    assert f"{TAP}: route to 10.9.0.0/16 over 10.77.0.255" in said
    assert "10.8.0.0/16 via 10.77.0.2" in routes


FAULTS = [
    FormatError("DHCP packet: nonsense"),
    OSError(28, "No space left on device", "/etc/resolv.conf"),
    FirmwareError(5, "Input/output error"),
    NetworkError("efi0: no link"),
]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NIC for each fault, and one that has none."""

    def configured(mailbox: object, row: dict[str, Any], *rest: object) -> Online:
        if row["fault"]:
            raise row["fault"]
        return Online("efi9", b"", ())

    monkeypatch.setattr(Interface, "set_up", lambda interface, up: None)
    monkeypatch.setattr(configure, "_configure", configured)


@pytest.mark.usefixtures("machine")
def test_whatever_is_wrong_with_a_nic_the_next_one_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"fault": fault} for fault in (*FAULTS, None)]
    monkeypatch.setattr(configure, "_candidates", lambda mailbox, nic: rows)
    assert bring_up(None).interface == "efi9"  # type: ignore[arg-type]
    monkeypatch.setattr(configure, "_candidates", lambda mailbox, nic: rows[:-1])
    with pytest.raises(NetworkError, match=r"nonsense; /etc/resolv.conf: No space .*; efi0: no"):
        bring_up(None)  # type: ignore[arg-type]
