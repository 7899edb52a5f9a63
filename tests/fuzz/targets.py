# SPDX-License-Identifier: Apache-2.0
"""What in Python reads foreign bytes: any bytes give a result or a refusal, never anything else.

The table: a new parser is one line of it, or a function in exercises.py where there is more to be
promised than that it ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pykexec.attest import decode, key_report
from pykexec.bridge.clients import parse_request
from pykexec.disk import bek
from pykexec.efi import variables
from pykexec.errors import (
    DeniedError,
    FirmwareError,
    FormatError,
    NetworkError,
    TpmError,
    UsageError,
)
from pykexec.firmware.last_end import decode_last_end
from pykexec.image import bzimage
from pykexec.image.inspection import inspect
from pykexec.install.image import identify
from pykexec.install.slots import parse_slots
from pykexec.policy.offline import parse_reference
from pykexec.policy.parse import parse_policy
from pykexec.server.people.id_token import LoginRefused
from pykexec.server.people.security_keys import KeyRefused
from pykexec.tpm import nv, public, seal
from pykexec.verify import quote
from tests.fuzz import (
    break_glass_side,
    certify_side,
    exercises,
    firmware_side,
    fleet_side,
    keys_side,
    launch_side,
    menu_side,
    people_side,
    samples,
    server_side,
    windows_side,
)
from tests.support.own_images import own_images

# Inputs that broke something once, by target; see its README.
FOUND = Path(__file__).resolve().parent.parent / "data/fuzz"


@dataclass(frozen=True, slots=True)
class Target:
    """parse is given any bytes and raises refusals alone; of seeds it refuses none, of refused
    each.
    """

    parse: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    refusals: tuple[type[Exception], ...] = (FormatError,)
    refused: Callable[[], Sequence[bytes]] = tuple

    def __call__(self, data: bytes) -> None:
        """Give it these."""
        with contextlib.suppress(*self.refusals):
            self.parse(data)


TARGETS: dict[str, Target] = {
    "admin-answer": Target(
        server_side.admin_answer,
        server_side.admin_answers,
        (DeniedError, FormatError, NetworkError, UsageError),
        samples.problems,
    ),
    "admin-request": Target(server_side.admin_request, server_side.admin_requests, ()),
    "agent-toml": Target(exercises.agent_toml, samples.agent_tomls),
    "answer": Target(break_glass_side.answer, break_glass_side.answers),
    "answer-typed": Target(break_glass_side.typed_answer, break_glass_side.typed_answers),
    "attestation": Target(decode.parse_attest_request, samples.attestations),
    "audit-entry": Target(server_side.audit_entry, server_side.audit_entries, ()),
    "authenticode": Target(exercises.authenticode, samples.signed_images),
    "backup": Target(fleet_side.backup, fleet_side.backups),
    "bek": Target(lambda data: bek.read(memoryview(data), "x"), windows_side.beks),
    "bitlocker": Target(windows_side.bitlocker, windows_side.bitlocker_metadata),
    "bls-entry": Target(menu_side.bls_entry, menu_side.bls_entries),
    "boot-option": Target(menu_side.option, samples.load_options),
    "bridge-request": Target(parse_request, samples.bridge_requests, (ValueError,)),
    "bundle": Target(launch_side.bundle, launch_side.bundles),
    "bundle-header": Target(launch_side.header, launch_side.headers),
    "bulk-csv": Target(fleet_side.csv, fleet_side.csvs),
    "bulk-jsonl": Target(fleet_side.jsonl, fleet_side.jsonls),
    "bzimage": Target(lambda data: bzimage.parse(data, "x"), samples.bzimages),
    "certificates": Target(exercises.certificates, samples.certificates),
    "challenge": Target(decode.parse_challenge, samples.challenges),
    "challenge-request": Target(decode.parse_challenge_request, samples.challenge_requests),
    "device-path": Target(exercises.device_path, samples.device_paths),
    "device-path-text": Target(exercises.device_path_text, samples.device_path_texts),
    "dhcp": Target(exercises.dhcp, samples.dhcp_packets),
    "dhcp6": Target(exercises.dhcp6, samples.dhcp6_messages),
    "echo": Target(certify_side.echo, certify_side.echoes, ()),
    "event-log": Target(exercises.event_log, samples.event_logs),
    "evidence": Target(exercises.evidence, samples.pieces_of_evidence),
    "file-system": Target(exercises.file_system, samples.disks),
    "firmware-answer": Target(
        firmware_side.answers,
        firmware_side.answer_seeds,
        (FirmwareError, FormatError, TpmError),
    ),
    "hive": Target(windows_side.hive, windows_side.hives),
    "http": Target(exercises.http_answer, samples.http_answers, (NetworkError,), samples.problems),
    "id-token": Target(server_side.id_token, server_side.id_tokens, (FormatError, LoginRefused)),
    "image": Target(lambda data: inspect(data, "x"), samples.images),
    "install-image": Target(lambda data: identify(data, "x"), own_images),
    "jwe": Target(exercises.jwe, samples.tokens),
    "jwe-to-key": Target(exercises.jwe_to_key, samples.tokens_to_key),
    "kernel": Target(exercises.kernel, samples.kernels),
    "key-report": Target(keys_side.report, keys_side.reports),
    "key-rights": Target(key_report.parse_rights, keys_side.rights),
    "last-end": Target(decode_last_end, firmware_side.last_ends),
    "load-option": Target(variables.parse_load_option, samples.load_options),
    "launch-manifest": Target(launch_side.manifest, launch_side.manifests),
    "launch-settings": Target(launch_side.settings, launch_side.all_settings),
    "luks": Target(keys_side.luks, keys_side.luks_metadata),
    "machine-report": Target(certify_side.report, certify_side.reports),
    "mbr": Target(windows_side.old_table, windows_side.old_tables),
    "menu-line": Target(menu_side.terminal, menu_side.lines, ()),
    "nv-certificates": Target(nv.split_certificates, samples.ders, (TpmError,)),
    "offer": Target(break_glass_side.offer, break_glass_side.offers, (FormatError, TpmError)),
    "partition": Target(firmware_side.partition, lambda: samples.disks()[:1]),
    "pci-space": Target(launch_side.configuration_space, launch_side.configuration_spaces),
    "pe": Target(exercises.pe, samples.pe_files),
    "policy": Target(lambda data: parse_policy(data, "x"), samples.policies),
    "poll-request": Target(decode.parse_poll_request, samples.poll_requests),
    "quote": Target(quote.parse_quote, samples.quotes, (FormatError, TpmError)),
    "reference-values": Target(lambda data: parse_reference(data, "x"), samples.reference_values),
    "reply": Target(decode.parse_attest_reply, samples.replies),
    "sealed": Target(seal.parse_sealed, samples.sealeds, (TpmError,)),
    "security-key": Target(people_side.registration, people_side.registrations, (KeyRefused,)),
    "security-key-use": Target(people_side.assertion, people_side.assertions, (KeyRefused,)),
    "audit-anchor": Target(server_side.anchors, server_side.anchor_files),
    "audit-trail": Target(server_side.trail, server_side.trails),
    "server-request": Target(server_side.request, server_side.requests, ()),
    "signatures": Target(exercises.signature_lists, samples.signature_lists),
    "statement": Target(decode.parse_statement, samples.statements),
    "slots": Target(parse_slots, firmware_side.slots),
    "tftp": Target(exercises.tftp_packets, samples.tftp_conversations, (NetworkError,)),
    "tpm-public": Target(public.parse_public, samples.publics, (TpmError,)),
    "tpm-response": Target(exercises.tpm_response, samples.tpm_responses, (TpmError,)),
    "unified-xen": Target(launch_side.unified_xen, launch_side.unified_xens),
    "url": Target(exercises.url, samples.urls, (UsageError,)),
    "variable": Target(firmware_side.variable, firmware_side.variable_seeds, ()),
    "wim": Target(windows_side.wim, windows_side.wims),
    "windows-disk": Target(windows_side.disk, windows_side.disks, ()),
    "windows-report": Target(windows_side.report, windows_side.reports),
}


def seeds_of(name: str) -> list[bytes]:
    """Where a run begins: valid inputs, and those that once broke something."""
    found = sorted((FOUND / name).glob("*")) if (FOUND / name).is_dir() else []
    target = target_of(name)
    return [*target.seeds(), *target.refused(), *(path.read_bytes() for path in found)]


def target_of(name: str) -> Target:
    """One of the table, or that which a fuzzer has to find a fault in."""
    return Target(_planted, lambda: [b"PX" + bytes(6)]) if name == "planted" else TARGETS[name]


def _planted(data: bytes) -> None:
    if data[:2] == b"PK":
        raise ZeroDivisionError
