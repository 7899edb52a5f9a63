# SPDX-License-Identifier: Apache-2.0
"""[firmware] drivers of agent.toml: the firmware has them for good, and Linux what they bring."""

from __future__ import annotations

import os
from functools import partial

from pykexec.config.agent import AgentConfig
from pykexec.firmware.info import FirmwareInfo
from pykexec.firmware.mailbox import Mailbox
from pykexec.steps import attempt

LOADED = "/run/pykexec/drivers"
"""Is there once they were loaded: an agent that comes after a crash does not do it again."""


def load_once(
    mailbox: Mailbox, info: FirmwareInfo, config: AgentConfig, loaded: str = LOADED
) -> None:
    """Have the firmware load, verify, measure and start them in order, each connected before the
    next is looked for: that may lie behind it.

    One that fails is a line. A Linux that is not the first under this firmware finds those of the
    first at work: twice they would be measured twice.
    """
    if info.outcome.nr_runs or os.path.exists(loaded):
        return
    os.makedirs(os.path.dirname(loaded), exist_ok=True)
    with open(loaded, "wb"):
        pass
    for driver in config.drivers:
        attempt(f"pykexec: driver {driver}", partial(_load, mailbox, driver, config), None)


def _load(mailbox: Mailbox, driver: str, config: AgentConfig) -> None:
    from pykexec.efi.pe import check_driver
    from pykexec.firmware.status import status_name
    from pykexec.kexec.images import start_image
    from pykexec.kexec.request import is_firmware_path
    from pykexec.net.boot_server import absolute_url

    path = driver if is_firmware_path(driver) else str(absolute_url(mailbox, driver))
    status = start_image(mailbox, path, network=config.network, check=check_driver)
    print(f"driver {path}: {status_name(status)}", flush=True)
