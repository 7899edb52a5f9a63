# SPDX-License-Identifier: Apache-2.0
"""Policies and machines: what one boot taught is demanded of the next, and updates are foreseen."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import pytest

from pykexec.efi.signature_list import appended
from pykexec.errors import DeniedError, FormatError, UsageError
from pykexec.policy import parse_policy
from pykexec.policy.learn import LearnOptions, learn
from pykexec.policy.model import BANKS
from pykexec.policy.offline import genuine_claims, updated_policy
from pykexec.policy.predict import Changes, predict
from pykexec.tpm.eventlog import parse_event_log, replay
from tests.lint.tree import ROOT
from tests.support import attest_log
from tests.support.attest_machine import PAYLOAD, Boot, Machine
from tests.unit.policy.taught import BOOT, PINNED, learnt, reference, refusals, refused


def hashes(*numbers: int) -> bytes:
    found = [hashlib.sha256(f"revoked {n}".encode()).digest() for n in numbers]
    return attest_log.signature_list(attest_log.SHA256_LIST, found)


@pytest.mark.parametrize(
    "boot",
    [
        BOOT,
        Boot(secure_boot=False),
        Boot(config=b"[payload]\n"),
        Boot(firmware='1 "*[x]?'),
        Boot(db=("Test UEFI CA", "Other CA")),
    ],
)
@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_a_learnt_policy_accepts_its_boot_and_the_next(boot: Boot, bank: str) -> None:
    machine = Machine(boot=boot, banks=("sha256", "sha384"))
    text = learn(genuine_claims(machine.evidence(bank=bank), "e"), PINNED).encode()
    assert refused(machine, text, bank=bank) == []
    machine.reboot()
    assert refused(machine, text, bank=bank) == []
    machine.release()
    assert refused(machine, text, bank=bank) == ["policy.released"]


@pytest.mark.parametrize(
    ("other", "codes"),
    [
        ({"firmware": "2026.02"}, {"policy.firmware.version", "policy.pcr.0"}),
        (
            {"secure_boot": False},
            {"policy.secure-boot", "policy.secure-boot.PK", "policy.secure-boot.KEK"}
            | {"policy.secure-boot.db", "policy.secure-boot.authority", "policy.pcr.7"},
        ),
        ({"db": ("Other CA",)}, {"policy.secure-boot.authority", "policy.secure-boot.db"}
            | {"policy.pcr.7"}),
        ({"dbx_hashes": 3}, {"policy.secure-boot.dbx", "policy.pcr.7"}),
        ({"image": b"other.efi"}, {"policy.image", "policy.pcr.4"}),
        ({"drivers": 13}, {"policy.pcr.2"}),
        ({"config": b"locked = false\n"}, {"policy.config"}),
        # What an image says of itself is not what it is.
        ({"sections": ((".linux", b"a kernel"), (".cmdline", b"init=/bin/sh"))}, set()),
    ],
)  # fmt: skip
def test_another_boot_is_refused_for_what_is_other(
    other: dict[str, object], codes: set[str]
) -> None:
    text = learnt(Machine())
    assert set(refused(Machine(boot=replace(BOOT, **other)), text)) == codes  # type: ignore[arg-type]


def test_another_payload_is_refused() -> None:
    text = learnt(Machine())
    other = {**PAYLOAD, "authenticode_sha256": "00" * 32}
    assert refused(Machine(), text, payload=other) == ["policy.payload"]
    assert refused(Machine(), text, payload={}) == ["policy.payload", "policy.payload"]
    anything = learnt(Machine(), LearnOptions("p", payload=False))
    assert refused(Machine(), anything, payload=other) == []


def test_a_self_contained_payload_has_to_stay_one() -> None:
    uki = {**PAYLOAD, "sections": ".linux .initrd .cmdline"}
    taught = learn(genuine_claims(Machine().evidence(payload=uki), "e"), PINNED).encode()
    assert refused(Machine(), taught, payload=uki) == []
    assert refused(Machine(), taught) == ["policy.payload.self-contained"]
    assert b"# not self-contained" in learnt(Machine())


def test_a_tampered_command_line_is_named() -> None:
    sections = tuple(
        (name, b"rd.break" if name == ".cmdline" else data) for name, data in BOOT.sections
    )
    boot = replace(BOOT, image=b"tampered", sections=sections)
    (finding,) = refusals(Machine(boot=boot), learnt(Machine(), LearnOptions("p")))
    assert finding.text.endswith("not learnt (the image says that its .cmdline differs)")


def test_nothing_is_learnt_of_evidence_that_is_not_genuine() -> None:
    evidence = Machine().evidence()
    changed = replace(evidence, pcrs={**evidence.pcrs, 0: bytes(31) + b"\1"})
    with pytest.raises(DeniedError, match="e: nothing to rely on: "):
        genuine_claims(changed, "e")


def test_a_strangers_words_in_a_learnt_policy_are_words() -> None:
    boot = Boot(firmware='"]\nallow_any_image = true\n#', db=("A\nallow_any_image = true #\x7f",))
    machine = Machine(boot=boot)
    stated = {**PAYLOAD, "path": "x\nallow_any_image = true"}
    evidence = machine.evidence(payload=stated, machine={"serial": "\nname = 'x'"})
    policy = parse_policy(learn(genuine_claims(evidence, "e"), PINNED).encode(), "p")
    assert (policy.name, policy.allow_any_image) == ("pinned", False)


def test_images_come_from_reference_values_if_one_is_that_of_the_boot() -> None:
    newer = Machine(boot=replace(BOOT, image=b"newer", sections=((".linux", b"newer"),)))
    options = LearnOptions("p", references=(reference(Machine(), "a"), reference(newer, "b")))
    text = learnt(Machine(), options)
    assert refused(Machine(), text) == refused(newer, text) == []
    with pytest.raises(UsageError, match="in none of the reference values"):
        learnt(Machine(), LearnOptions("p", references=(reference(newer, "b"),)))


def allowing(text: bytes, changes: Changes, **more: object) -> bytes:
    evidence = Machine().evidence()
    update = updated_policy(
        evidence, "e", changes, "update", policy=(text, "p"), **more  # type: ignore[arg-type]
    )  # fmt: skip
    return update.encode()


@pytest.mark.parametrize(
    ("changes", "boot"),
    [
        (Changes(written={"dbx": hashes(*range(6))}), replace(BOOT, dbx_hashes=6)),
        (
            Changes(
                written={
                    "db": b"".join(
                        attest_log.signature_list(
                            attest_log.X509_LIST, [attest_log.certificate(name)]
                        )
                        for name in ("Test UEFI CA", "New CA")
                    )
                }
            ),
            replace(BOOT, db=("Test UEFI CA", "New CA")),
        ),
    ],
)
def test_an_update_of_keys_is_foreseen(changes: Changes, boot: Boot) -> None:
    text = learnt(Machine())
    updated = Machine(boot=boot)
    assert "policy.pcr.7" in refused(updated, text)
    assert refused(updated, allowing(text, changes)) == []
    assert refused(Machine(), allowing(text, changes)) == []
    another = Machine(boot=replace(boot, dbx_hashes=7))
    assert "policy.pcr.7" in refused(another, allowing(text, changes))


def with_dbx(content: bytes) -> Machine:
    machine = Machine()
    vendor = attest_log.SECURITY_DATABASE
    old = attest_log.variable("dbx", vendor, hashes(0, 1, 2, 3))
    new = attest_log.variable("dbx", vendor, content)
    events = tuple(replace(e, data=new) if e.data == old else e for e in machine.events)
    assert events != machine.events
    machine.rewrite(events)
    return machine


def test_an_appended_revocation_is_foreseen() -> None:
    text = learnt(Machine())
    updated = with_dbx(hashes(0, 1, 2, 3) + hashes(8, 9))
    foreseen = allowing(text, Changes(appended={"dbx": hashes(1, 8, 2, 9)}))
    assert refused(updated, text) == ["policy.pcr.7"]
    assert refused(updated, foreseen) == []


def test_new_firmware_is_foreseen_from_its_vendors_values() -> None:
    text = learnt(Machine(), LearnOptions("p"))
    version = "2026.02"
    blobs = {
        hashlib.sha256(f"{BOOT.firmware} {n}".encode()).digest(): hashlib.sha256(
            f"{version} {n}".encode()
        ).digest()
        for n in (0, 1)
    }
    tables = {
        hashlib.sha256(b"tables of " + BOOT.firmware.encode()).digest(): hashlib.sha256(
            b"tables of " + version.encode()
        ).digest()
    }
    updated = Machine(boot=replace(BOOT, firmware=version))
    foreseen = allowing(text, Changes(version=version, digests=blobs | tables))
    assert refused(updated, foreseen) == []
    assert refused(updated, text) == ["policy.firmware.version", "policy.pcr.0"]
    only_version = allowing(text, Changes(version=version))
    assert refused(updated, only_version) == ["policy.pcr.0"]
    known = Changes(version=version, pcrs={0: updated.pcrs["sha256"][0]})
    assert refused(updated, allowing(text, known)) == []


def test_a_new_image_is_foreseen() -> None:
    text = learnt(Machine(), LearnOptions("p", pcrs=(4, 5)))
    newer = Machine(boot=replace(BOOT, image=b"newer", sections=((".linux", b"newer"),)))
    foreseen = allowing(text, Changes(), image=reference(newer, "newer"))
    assert set(refused(newer, text)) == {"policy.image", "policy.pcr.4", "policy.pcr.5"}
    assert refused(newer, foreseen) == refused(Machine(), foreseen) == []


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True), (True, True)])
def test_an_image_that_tells_nothing_is_foreseen_too(before: bool, after: bool) -> None:
    """Of an image of before, or by other tools, PCR 5 has nothing, and PCR 11 something perhaps."""
    options = LearnOptions("p", pcrs=(4, 5, 11))
    machine = Machine(boot=replace(BOOT, old=before))
    newer = Machine(boot=replace(BOOT, old=after, image=b"newer", sections=((".linux", b"x"),)))
    image = {**reference(newer, "newer"), "described": not after}
    if after:
        image["pcr11"] = {"sha256": newer.pcrs["sha256"][11].hex()}
    evidence, text = machine.evidence(), learnt(machine, options)
    foreseen = updated_policy(evidence, "e", Changes(), "u", image=image, policy=(text, "p"))
    assert refused(newer, foreseen.encode()) == refused(machine, foreseen.encode()) == []


def with_drivers(*images: bytes) -> Machine:
    """The boot of a machine whose agent.toml adds drivers to the firmware."""
    machine = Machine()
    added = (attest_log.driver(r"\EFI\drivers\x.efi", image) for image in images)
    machine.rewrite((*machine.events, *added))
    return machine


def test_a_driver_that_is_added_is_pinned_named_and_foreseen() -> None:
    without, text = (
        learnt(Machine(), LearnOptions("p")),
        learnt(with_drivers(b"ext4"), LearnOptions("p")),
    )
    digests = {bank: hashlib.new(bank, b"authenticode of ext4").digest() for bank in BANKS}
    assert f"# {digests['sha256'].hex()} from " in text.decode()
    assert refused(with_drivers(b"ext4"), text) == []
    assert refused(Machine(), text) == ["policy.pcr.2"]
    assert refused(with_drivers(b"ext4", b"ext4"), text) == ["policy.pcr.2"]
    (finding,) = refusals(with_drivers(b"ext4"), without)
    assert finding.code == "policy.pcr.2"
    assert f"drivers were added to the firmware's own: {digests['sha256'].hex()}" in finding.text
    foreseen = allowing(without, Changes(drivers=(digests,)))
    assert refused(with_drivers(b"ext4"), foreseen) == refused(Machine(), foreseen) == []
    assert refused(with_drivers(b"evil"), foreseen) == ["policy.pcr.2"]
    assert b"# a driver of another signer" in foreseen


def test_an_update_that_the_policy_allows_anyway_adds_nothing() -> None:
    text = learnt(Machine(), LearnOptions("p"))
    assert allowing(text, Changes(written={"dbx": hashes(*range(6))})) == b""


def test_without_a_policy_all_that_changes_is_told() -> None:
    evidence = Machine().evidence()
    text = updated_policy(evidence, "e", Changes(written={"dbx": hashes(*range(6))}), "u")
    pcr7 = Machine(boot=replace(BOOT, dbx_hashes=6)).pcrs["sha256"][7].hex()
    assert f'7 = ["{pcr7}"]' in text
    assert f'sha256 = ["{hashlib.sha256(hashes(*range(6))).hexdigest()}"]' in text


def test_a_key_that_vouched_for_the_image_and_is_to_go_is_told() -> None:
    content = attest_log.signature_list(attest_log.X509_LIST, [attest_log.certificate("New CA")])
    text = updated_policy(Machine().evidence(), "e", Changes(written={"db": content}), "u")
    assert "# db loses what vouched for an image of this boot" in text


@pytest.mark.parametrize(
    ("changes", "error", "fault"),
    [
        (Changes(written={"dbt": b""}), UsageError, "dbt: the log has no such variable"),
        (Changes(written={"dbx": b"x" * 30}), FormatError, "signature list"),
        (Changes(appended={"dbx": b"x"}), FormatError, "dbx: offset 0: signature list is cut"),
        (Changes(digests={bytes(32): bytes(32)}), UsageError, "the log has no event with this"),
        (Changes(digests={b"": b""}), UsageError, "the log has no event with this"),
    ],
)
def test_what_cannot_be_foreseen_is_said(
    changes: Changes, error: type[Exception], fault: str
) -> None:
    evidence = Machine().evidence()
    log = parse_event_log(evidence.event_log)
    with pytest.raises(error, match=fault):
        predict(log, "sha256", evidence.pcrs, changes)


def test_nothing_is_foreseen_from_a_log_of_another_boot() -> None:
    log = parse_event_log(Machine(boot=replace(BOOT, dbx_hashes=9)).evidence().event_log)
    with pytest.raises(FormatError, match="does not explain PCR 7"):
        predict(log, "sha256", Machine().evidence().pcrs, Changes(written={"dbx": hashes(1)}))


def test_what_the_log_does_not_have_cannot_be_updated() -> None:
    machine = Machine()
    kept = (attest_log.SEPARATOR, attest_log.VARIABLE_DRIVER_CONFIG)
    machine.rewrite(tuple(event for event in machine.events if event.type in kept))
    evidence = machine.evidence()
    log = parse_event_log(evidence.event_log)
    with pytest.raises(UsageError, match="the log has no version of the firmware"):
        predict(log, "sha256", evidence.pcrs, Changes(version="2"))
    with pytest.raises(UsageError, match="the log has no application that was started"):
        predict(log, "sha256", evidence.pcrs, Changes(application=bytes(32)))


def test_a_variable_that_cannot_be_read_is_not_the_one_that_is_meant() -> None:
    machine = Machine()
    machine.extend(7, attest_log.VARIABLE_DRIVER_CONFIG, b"short")
    machine.extend(7, attest_log.VARIABLE_AUTHORITY, b"short")
    evidence = machine.evidence()
    changes = Changes(written={"dbx": hashes(1)})
    found = predict(parse_event_log(evidence.event_log), "sha256", evidence.pcrs, changes)
    assert list(found.pcrs) == [7]


def test_nothing_is_foreseen_of_firmware_that_hashes_otherwise() -> None:
    machine = Machine()
    events = tuple(
        replace(event, hashed=b"otherwise") if b"d\0b\0x\0" in event.data else event
        for event in machine.events
    )
    machine.rewrite(events)
    evidence = machine.evidence()
    with pytest.raises(FormatError, match="the digest is not that of the event's data"):
        predict(
            parse_event_log(evidence.event_log),
            "sha256",
            evidence.pcrs,
            Changes(written={"dbx": hashes(1)}),
        )


def test_appending_keeps_what_is_there_and_adds_what_is_new() -> None:
    old = hashes(1, 2)
    assert appended(old, hashes(2, 1), "dbx") == old
    assert appended(old, hashes(3, 2, 4), "dbx") == old + hashes(3, 4)
    assert appended(b"", hashes(3), "dbx") == hashes(3)
    owner = struct.pack("16s", b"another owner")
    other = hashes(2)[:28] + owner + hashes(2)[44:]
    assert appended(old, other, "dbx") == old + other


def with_log(name: str) -> Machine:
    """A simulated machine that booted what a real one did."""
    machine = Machine()
    machine.event_log = (ROOT / "tests/data/eventlogs" / name).read_bytes()
    registers = replay(parse_event_log(machine.event_log), "sha256")
    machine.pcrs["sha256"] = {n: registers.get(n, bytes(32)) for n in range(24)}
    return machine


@pytest.mark.parametrize("name", ["ovmf-2022.11.bin", "ovmf-2025.02-secure-boot.bin"])
def test_real_firmware_is_learnt_from(name: str) -> None:
    text = learnt(with_log(name))
    assert refused(with_log(name), text) == []
    assert "policy.image" in refused(Machine(), text)


def test_an_update_of_real_firmwares_revocations_is_foreseen() -> None:
    machine = with_log("ovmf-2025.02-secure-boot.bin")
    evidence = machine.evidence()
    claims = genuine_claims(evidence, "e")
    before: list[str] = claims["secure_boot"]["variables"]["dbx"]["hashes"]  # type: ignore[index]
    log = parse_event_log(evidence.event_log)
    found = predict(log, "sha256", evidence.pcrs, Changes(appended={"dbx": hashes(1, 2)}))
    assert list(found.pcrs) == [7]
    assert list(found.variables["dbx"].hashes[: len(before)]) == before
    assert len(found.variables["dbx"].hashes) == len(before) + 2
