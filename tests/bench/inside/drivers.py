# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON which driver each disk, NIC and TPM of Linux has, and how fast the TSC runs."""

import json
import os

from pykexec.errors import NotResidentError
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox

CLASSES = {"block": "/sys/block", "net": "/sys/class/net", "tpm": "/sys/class/tpm"}
NOT_MEANT = ("lo", "loop", "ram", "sit", "tunl", "ip6", "dummy")


def driver(path: str) -> str:
    """The driver of the device, or else what the device is called, without its number."""
    try:
        return os.path.basename(os.readlink(f"{path}/device/driver"))
    except OSError:
        return os.path.basename(path).rstrip("0123456789")


def present(path: str) -> bool:
    """Is it more than a slot for a device? Disks of no size are."""
    if not os.path.exists(f"{path}/size"):
        return True
    with open(f"{path}/size", encoding="ascii") as file:
        return int(file.read()) > 0


found = {}
for kind, directory in CLASSES.items():
    names = os.listdir(directory) if os.path.isdir(directory) else []
    paths = [f"{directory}/{name}" for name in sorted(names) if not name.startswith(NOT_MEANT)]
    found[kind] = sorted({driver(path) for path in paths if present(path)})

try:
    with Mailbox() as box:
        tsc_khz = read_info(box).tsc_khz
except NotResidentError:
    tsc_khz = 0
print(json.dumps({"drivers": found, "tsc_khz": tsc_khz}))
