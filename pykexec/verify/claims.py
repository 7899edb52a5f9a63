# SPDX-License-Identifier: Apache-2.0
"""What evidence says, for policies: taken from events that quoted registers vouch for.

What no digest covers is told for people alone, under a key that "unproven" lists: the device path
of an application, where in memory a blob lay, the name of a boot option. Registers that firmware
fills before its separator are read up to there: whoever comes later may extend them, and call the
firmware's events something else.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

from pykexec.abi_devices import TpmEventConstant
from pykexec.attest.protocol import CONFIG_PCR, OLD_CONFIG_PCR
from pykexec.efi.device_path import parse as parse_path
from pykexec.efi.guid import GUID_SIZE, Guid
from pykexec.efi.ucs2 import decode_ucs2
from pykexec.efi.variables import parse_load_option
from pykexec.errors import FormatError
from pykexec.firmware.description import parse_description
from pykexec.firmware.measure import CONFIG, CONFIG_SHA256, parse_tagged_event
from pykexec.tpm.event_data import UefiVariable, parse_variable
from pykexec.tpm.event_text import type_name
from pykexec.verify.events import is_separator
from pykexec.verify.log import Entry, ProvenLog
from pykexec.verify.promises import NUMBERS

_VERSION_PCR, _OPTIONS_PCR, _DRIVERS_PCR, _APPLICATIONS_PCR = 0, 1, 2, 4
_VERSION = NUMBERS["EV_S_CRTM_VERSION"]
_BLOBS = (NUMBERS["EV_EFI_PLATFORM_FIRMWARE_BLOB"], NUMBERS["EV_EFI_PLATFORM_FIRMWARE_BLOB2"])
_OPTIONS = (NUMBERS["EV_EFI_VARIABLE_BOOT"], NUMBERS["EV_EFI_VARIABLE_BOOT2"])
_ACTIONS = (NUMBERS["EV_EFI_ACTION"], NUMBERS["EV_ACTION"])
_IMAGES = (
    NUMBERS["EV_EFI_BOOT_SERVICES_APPLICATION"],
    NUMBERS["EV_EFI_BOOT_SERVICES_DRIVER"],
    NUMBERS["EV_EFI_RUNTIME_SERVICES_DRIVER"],
)
_IMAGE_LOAD = "<QQQQ"
_TEXT_MAX = 1024  # characters
# Bytes: nobody is to spend seconds on paths of a million nodes that some attester made up.
_PATH_MAX, _PATHS_MAX = 4096, 64 << 10


class _Paths:
    """Device paths of a log are told up to a size, each and all together; "" beyond it."""

    def __init__(self) -> None:
        self._left = _PATHS_MAX

    def afford(self, size: int) -> bool:
        """Whether so many bytes more may be looked at."""
        self._left -= size
        return size <= _PATH_MAX and self._left >= 0


def event_claims(log: ProvenLog) -> dict[str, object]:
    """All claims from events but those about Secure Boot."""
    paths = _Paths()
    applications = list(_applications(log))
    last = applications[-1].index if applications else -1
    started = [_loaded(entry, log, paths, _IMAGES[:1]) for entry in applications]
    return {
        "firmware": _firmware(log),
        "boot": {
            **_boot_options(log, _Paths()),
            "applications": started,
            "behind": _behind(log, last),
            "drivers": _drivers(log),
        },
        "image": _image(log, last),
        "events": log.count,
    }


def _digest(entry: Entry, log: ProvenLog) -> str:
    return entry.event.digests[log.bank].hex()


def _before_separator(log: ProvenLog, pcr: int) -> Iterator[Entry]:
    """Nothing where there is no separator: then nobody knows what is the firmware's."""
    return iter(_around_separator(log, pcr)[0])


def _around_separator(log: ProvenLog, pcr: int) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """What a register has before its separator, and behind it; nothing where it has none."""
    entries = log.of(pcr)
    for end, entry in enumerate(entries):
        if is_separator(entry.event, log.bank):
            return entries[:end], entries[end + 1 :]
    return (), ()


def _firmware(log: ProvenLog) -> dict[str, object]:
    """The version, and every other event up to the separator: none can be hidden by its type."""
    claims: dict[str, object] = {}
    blobs = []
    for entry in _before_separator(log, _VERSION_PCR):
        event = entry.event
        if event.type == _VERSION and entry.measured is not None and "version" not in claims:
            claims["version"] = _version(event.data)
        else:
            blobs.append(_blob(entry, log))
    return {**claims, "blobs": blobs}


def _version(data: bytes) -> str:
    """UCS-2, as the specification has it; ASCII and GUIDs occur."""
    if len(data) % 2 == 0 and not any(data[1::2]):
        return decode_ucs2(data)[:_TEXT_MAX]
    if len(data) == GUID_SIZE:
        return str(Guid(data))
    text = data.rstrip(b"\0")
    if text.isascii() and text.decode().isprintable():
        return text.decode()[:_TEXT_MAX]
    return data.hex()[:_TEXT_MAX]


def _blob(entry: Entry, log: ProvenLog) -> dict[str, object]:
    event = entry.event
    claims: dict[str, object] = {"digest": _digest(entry, log)}
    if event.type not in _BLOBS:
        return {**claims, "type": type_name(event.type), "unproven": ["type"]}
    if len(event.data) < 16:
        return claims
    base, size = struct.unpack_from("<QQ", event.data, len(event.data) - 16)
    return {**claims, "base": base, "size": size, "unproven": ["base", "size"]}


def _boot_options(log: ProvenLog, paths: _Paths) -> dict[str, object]:
    """BootOrder and the entries; their contents are proven, their names only if hashed as well."""
    order: list[str] = []
    entries: dict[str, object] = {}
    for entry in _before_separator(log, _OPTIONS_PCR):
        if entry.event.type not in _OPTIONS or entry.measured is None:
            continue
        try:
            variable = parse_variable(entry.event.data)
        except FormatError:
            continue
        if variable.name == "BootOrder" and not order:
            order = _order(variable.data)
        elif variable.name.startswith("Boot") and variable.name not in entries:
            option = _option(variable, paths)
            named = len(entry.measured) == len(entry.event.data)
            entries[variable.name] = option if named else {**option, "unproven": ["name"]}
    return {"order": order, "entries": entries}


def _order(data: bytes) -> list[str]:
    whole = data[: len(data) & ~1]
    return [f"Boot{number:04X}" for (number,) in struct.iter_unpack("<H", whole)]


def _option(variable: UefiVariable, paths: _Paths) -> dict[str, object]:
    unread: dict[str, object] = {"sha256": hashlib.sha256(variable.data).hexdigest()}
    data = variable.data[:_PATH_MAX]
    if not paths.afford(len(data)):
        return unread
    try:
        option = parse_load_option(data)
    except FormatError:
        return unread
    return {"title": option.description[:_TEXT_MAX], "path": str(option.path)[:_TEXT_MAX]}


def _applications(log: ProvenLog) -> Iterator[Entry]:
    """Everything in PCR 4 that is not provably a text or a separator, in order.

    An application whose event is called by another type is one all the same. Text is told from
    what may be hashed of an image by being text.
    """
    for entry in log.of(_APPLICATIONS_PCR):
        event = entry.event
        if is_separator(event, log.bank) or (event.type in _ACTIONS and _is_text(entry.measured)):
            continue
        yield entry


def _drivers(log: ProvenLog) -> list[dict[str, object]]:
    """All that was added to PCR 2 once the firmware had its own: drivers of an agent.toml, say."""
    paths = _Paths()
    _, added = _around_separator(log, _DRIVERS_PCR)
    return [_loaded(entry, log, paths, _IMAGES[1:]) for entry in added]


def _loaded(
    entry: Entry, log: ProvenLog, paths: _Paths, types: tuple[int, ...]
) -> dict[str, object]:
    """An image of one of these types, or what else may be one."""
    event = entry.event
    claims: dict[str, object] = {
        "path": _path(entry, paths) if event.type in _IMAGES else "",
        "authenticode": {log.bank: _digest(entry, log)},
        "unproven": ["path"],
    }
    if event.type not in types:
        claims["type"] = type_name(event.type)
        claims["unproven"] = ["path", "type"]
    return claims


def _is_text(data: bytes | None) -> bool:
    return data is not None and data.isascii() and data.decode().isprintable()


def _path(entry: Entry, paths: _Paths) -> str:
    """The device path of UEFI_IMAGE_LOAD_EVENT; "" for none, or for what is none."""
    data = entry.event.data
    head = struct.calcsize(_IMAGE_LOAD)
    if len(data) <= head or not paths.afford(len(data)):
        return ""
    try:
        return str(parse_path(data[head:]))[:_TEXT_MAX]
    except FormatError:
        return ""


def _behind(log: ProvenLog, last: int) -> list[str]:
    """What is in PCR 4 behind the event of that index, for people: texts, separators."""
    return [_behind_text(entry) for entry in log.of(_APPLICATIONS_PCR) if entry.index > last]


def _behind_text(entry: Entry) -> str:
    if entry.measured is None or not _is_text(entry.measured):
        return entry.title
    return f"{entry.title}: {entry.measured.decode()}"[:_TEXT_MAX]


def _image(log: ProvenLog, last: int) -> dict[str, object]:
    """What was logged of an image since the event of the application that was started last."""
    claims: dict[str, object] = {"sections": _sections(log, last)}
    if log.of(CONFIG_PCR):
        claims |= {"config": list(_configs(log)), "hidden": list(_hidden(log))}
    return claims


def _sections(log: ProvenLog, last: int) -> list[dict[str, object]]:
    """What the image says of its sections, itself: any other may say the same."""
    for entry in log.of(CONFIG_PCR):
        if entry.index > last and entry.measured is not None:
            try:
                found = parse_description(entry.measured)
            except FormatError:
                continue
            unproven = ["name", "sha256"]
            return [{"name": n, "sha256": d, "unproven": unproven} for n, d in found.items()]
    return []


def _configs(log: ProvenLog) -> Iterator[dict[str, object]]:
    """What has overridden the image's configuration, by the data that was measured.

    Images of before used a register that is zero otherwise.
    """
    for entry in log.of(CONFIG_PCR):
        try:
            tag, data = parse_tagged_event(entry.measured or b"")
        except FormatError:
            continue
        if tag == TpmEventConstant.TAG_CONFIG:
            yield {**_measured_in(entry, log), **_config(data)}
    for entry in log.of(OLD_CONFIG_PCR):
        yield {**_measured_in(entry, log), **_config(entry.measured)}


def _hidden(log: ProvenLog) -> Iterator[dict[str, object]]:
    """Events whose digest is of data that nobody has: what the log has beside it, and what it calls
    it, is nobody's word, so an override could hide there.
    """
    for entry in log.of(CONFIG_PCR):
        if entry.measured is None:
            # Only where it is: to read the data of a stranger's event may take long.
            yield {**_measured_in(entry, log), "event": entry.title, "unproven": ["event"]}


def _measured_in(entry: Entry, log: ProvenLog) -> dict[str, object]:
    return {"pcr": entry.event.pcr, "digest": _digest(entry, log)}


def _config(data: bytes | None) -> dict[str, object]:
    """sha256 is that of a file which has overridden the configuration."""
    if data is None:
        return {}
    if data.startswith(CONFIG):
        return {"sha256": hashlib.sha256(data[len(CONFIG) :]).hexdigest()}
    if data.startswith(CONFIG_SHA256) and len(data) == len(CONFIG_SHA256) + 32:
        return {"sha256": data[len(CONFIG_SHA256) :].hex()}
    text = decode_ucs2(data) if len(data) % 2 == 0 and not any(data[1::2]) else ""
    return {"text": text[:_TEXT_MAX]} if text.isprintable() and text else {}
