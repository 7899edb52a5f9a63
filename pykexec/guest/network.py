# SPDX-License-Identifier: Apache-2.0
"""The agent's configuration when the image came over the network: beside it, on the same server."""

from __future__ import annotations

import errno
from dataclasses import replace

from pykexec.config.agent import (
    NETWORK_NAME,
    OVERRIDE_MAX,
    AgentConfig,
    resolve_network_config,
)
from pykexec.errors import FirmwareError, NotOnServerError
from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.measure import LOG_FULL, measure_config
from pykexec.log import describe
from pykexec.net.boot_server import NetworkOrigin

_TOTAL_S = 60.0


def network_config(
    mailbox: Mailbox, info: FirmwareInfo, origin: NetworkOrigin, embedded: AgentConfig
) -> AgentConfig:
    """The server's agent.toml where it has one and is trusted, else the embedded configuration.

    PykexecError says why a server's configuration is not taken.
    """
    found = _beside_on_volume(mailbox, info) or _beside_on_server(mailbox, origin, embedded)
    if found is None:
        return embedded
    data, source = found
    if info.tpm and not measure_config(mailbox, data, source, embedded.attest is not None):
        print(f"{source}: {LOG_FULL}")
    config = resolve_network_config(embedded, data, source)
    print(f"configuration: {source}")
    return config


def _beside_on_volume(mailbox: Mailbox, info: FirmwareInfo) -> tuple[bytes, str] | None:
    """A network boot program may show what it has fetched as files beside the image (iPXE)."""
    from pykexec.firmware.devices import read_file

    if not info.boot_volume or not info.image_path:
        return None
    directory = info.image_path.rpartition("\\")[0]
    path = f"{directory}\\{NETWORK_NAME}"
    try:
        return read_file(mailbox, info.boot_volume, path, OVERRIDE_MAX), path
    except FirmwareError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _beside_on_server(
    mailbox: Mailbox, origin: NetworkOrigin, embedded: AgentConfig
) -> tuple[bytes, str] | None:
    from pykexec.kexec.remote import check_trust, go_online, limits
    from pykexec.net.fetch import fetch_bytes

    if origin.url is None:
        print("came over the network, but the firmware does not say from where")
        return None
    url = origin.url.join(NETWORK_NAME)
    check_trust(url, embedded.network)
    go_online(mailbox, embedded.network)
    bounds = replace(limits(embedded.network, OVERRIDE_MAX), total_s=_TOTAL_S)
    try:
        return fetch_bytes(url, bounds), str(url)
    except NotOnServerError as error:
        print(f"configuration: our own; {describe(error)}")
        return None
