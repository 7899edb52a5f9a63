# SPDX-License-Identifier: Apache-2.0
"""The firmware's TPM as Linux' own: programs use it, Linux' end does not, nothing breaks it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from pykexec.vm.ovmf import firmware
from tests.vm.boot import Boot
from tests.vm.equipment import BARE
from tests.vm.guest import HELLO_PATH, Guest, Result, machine_with
from tests.vm.images import image
from tests.vm.snapshots import AgentReady
from tests.vm.tpm_image import TOOLS, tpm_image
from tests.vm.ways import NBD, UBLK, Way

# QEMU shows what the TPM is sent: what the stub answers itself cannot be there.
TRACE = ("-trace", "tpm_util_show_buffer")
STARTUP_CLEAR = "80 01 00 00 00 0C 00 00 01 44 00 00"
SHUTDOWN = "80 01 00 00 00 0C 00 00 01 45"
SHUTDOWN_CLEAR = f"{SHUTDOWN} 00 00"
CREATE_PRIMARY_BY_PLATFORM = "80 02 00 00 00 1B 00 00 01 31 40 00 00 0C"
INITIALIZE, HIERARCHY_1, VALUE_1, INSUFFICIENT_1 = 0x100, 0x185, 0x1C4, 0x1DA
SIZE, COMMAND_SIZE, COMMAND_CODE = 0x95, 0x142, 0x143


def start_bridge(guest: Guest) -> dict[str, Any]:
    """What the TPM's bridge says of itself; it must be up."""
    rows = guest.json("pykexec bridge start tpm --json")
    (row,) = (row for row in rows if row["kind"] == "tpm")
    assert row["state"] == "up", row
    return dict(row)


def sent_to_tpm(guest: Guest) -> list[str]:
    """Every command that QEMU's TPM was given, in hex."""
    text = (guest.vm.directory / "qemu.log").read_text(errors="replace")
    parts = re.split(r"tpm_util_show_buffer direction: ", text)[1:]
    return [
        " ".join(re.findall(r"\b[0-9A-F]{2}\b", part.partition("\n")[2]))
        for part in parts
        if part.startswith("To TPM")
    ]


def pcrs_of(text: str) -> dict[int, str]:
    """Registers as tpm2-tools list them."""
    return {int(n): value.lower() for n, value in re.findall(r"(\d+) *: 0x(\w+)", text)}


def use_tools(guest: Guest) -> None:
    """Keys, signatures, quotes, NV storage and sealed data by tpm2-tools."""

    def tpm(line: str) -> str:
        return guest.ok(f"{TOOLS}{line}", within=120)

    assert re.fullmatch(r"[0-9a-f]{32}", tpm("tpm2_getrandom --hex 16"))
    tpm("tpm2_createprimary -Q -C o -G ecc -c primary.ctx")
    tpm("tpm2_create -Q -C primary.ctx -G ecc:ecdsa -u key.pub -r key.priv")
    tpm("tpm2_load -Q -C primary.ctx -u key.pub -r key.priv -c key.ctx")
    tpm("echo message >message; tpm2_sign -Q -c key.ctx -g sha256 -o signature message")
    tpm("tpm2_verifysignature -Q -c key.ctx -g sha256 -m message -s signature")
    tpm("echo other >other")
    forged = guest.run(f"{TOOLS}tpm2_verifysignature -c key.ctx -g sha256 -m other -s signature")
    assert forged.status == 1

    tpm("tpm2_createek -Q -c ek.ctx -G ecc -u ek.pub")
    tpm("tpm2_createak -Q -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pem -f pem")
    quoted = "-m quote.msg -s quote.sig -o quote.pcrs"
    tpm(f"tpm2_quote -Q -c ak.ctx -l sha256:0,4,7,11 -q abcdef {quoted}")
    check = "tpm2_checkquote -Q -u ak.pem -m quote.msg -s quote.sig -f quote.pcrs -g sha256"
    tpm(f"{check} -q abcdef")
    assert guest.run(f"{TOOLS}{check} -q abcdee").status == 1

    tpm("tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|ownerwrite' 0x1500016")
    tpm("echo -n 12345678 | tpm2_nvwrite -Q -C o -i- 0x1500016")
    assert tpm("tpm2_nvread -C o -s 8 0x1500016") == "12345678"
    tpm("tpm2_nvundefine -Q -C o 0x1500016")

    tpm("tpm2_createpolicy -Q --policy-pcr -l sha256:7,23 -L policy")
    sealed = "-u sealed.pub -r sealed.priv"
    tpm(f"echo -n secret | tpm2_create -Q -C primary.ctx -L policy -i- {sealed}")
    tpm(f"tpm2_load -Q -C primary.ctx {sealed} -c sealed.ctx")
    assert tpm("tpm2_unseal -c sealed.ctx -p pcr:sha256:7,23") == "secret"
    tpm(f"tpm2_pcrextend 23:sha256={'5a' * 32}")
    assert guest.run(f"{TOOLS}tpm2_unseal -c sealed.ctx -p pcr:sha256:7,23").status == 1


def check_log(guest: Guest) -> None:
    """The log explains the TPM's registers, to tpm2_eventlog and to our own parser."""
    listed = guest.ok(f"{TOOLS}tpm2_eventlog /run/pykexec/event-log >log; sed '1,/^pcrs:/d' log")
    by_tools = pcrs_of(listed.partition("sha256:")[2].partition("sha384:")[0])
    in_tpm = pcrs_of(guest.ok(f"{TOOLS}tpm2_pcrread sha256"))
    assert by_tools.keys() >= {4, 5, 7} and 11 not in by_tools
    assert by_tools == {pcr: in_tpm[pcr] for pcr in by_tools}
    ours = guest.json("pykexec eventlog --json")
    replayed = {int(pcr): value for pcr, value in ours["replayed"]["sha256"].items()}
    assert replayed == by_tools
    assert ours["tpm"] == ours["replayed"]
    assert not ours["truncated"]
    applications = [
        event["description"]
        for event in ours["events"]
        if event["type"] == "EV_EFI_BOOT_SERVICES_APPLICATION"
    ]
    assert any(r"\EFI\pykexec\pykexec.efi" in text for text in applications)
    assert not [event for event in ours["events"] if "malformed" in event["description"]]
    guest.ok("pykexec eventlog --output /tmp/live && cmp /tmp/live /run/pykexec/event-log")


def check_commands(way: Way, guest: Guest) -> None:
    """What must not reach the TPM is answered, what is malformed is refused."""
    found = guest.script("tpm_commands")
    assert found["filtered"] == {
        "startup": 0,
        "shutdown clear": 0,
        "shutdown state": 0,
        "shutdown nonsense": 0,
        "platform": HIERARCHY_1,
    }
    assert found["by device"] == {
        "nothing": "EINVAL",
        "cut off header": "EINVAL",
        "header alone": "EINVAL",
        "says more": "EINVAL",
        "says less": INSUFFICIENT_1,  # Linux passes on what the header says.
        "says 4 GiB": "EINVAL",
        # The kernel's driver has no response to give where the bridge makes one up.
        "tag of a TPM 1.2": "EINVAL" if way.native else COMMAND_SIZE,
        "larger than all": "E2BIG",
        "largest": SIZE,
    }
    by_mailbox = found["by mailbox"]
    assert by_mailbox.pop("larger than all") == "BAD_BUFFER_SIZE"
    assert by_mailbox.pop("largest") == SIZE
    assert set(by_mailbox.values()) == {"INVALID_PARAMETER"}, by_mailbox
    assert found["no room"] == ["BUFFER_TOO_SMALL"] * 3
    assert found["unknown command"] == COMMAND_CODE
    assert found["random"] == [44, 44]
    assert found["before"] == found["after"]


def kill_bridge(guest: Guest) -> None:
    """Whoever waits for a bridge that is killed gets an error at once; the next one serves."""
    # The supervisor reports the death on the console: not in the middle of the JSON.
    guest.ok("/inside/tpm_kill >/tmp/killed; pykexec bridge start tpm")
    found = guest.json("cat /tmp/killed")
    assert (found["waiting"], found["answer"]) == (True, "ECANCELED")
    assert found["seconds"] < 5
    start_bridge(guest)
    assert len(guest.ok(f"{TOOLS}tpm2_getrandom --hex 16")) == 32


def leave_nothing(guest: Guest) -> None:
    """What a program left in the TPM goes with the bridge."""
    raw = "TPM2TOOLS_TCTI=device:/dev/pykexec/tpm"
    guest.ok(f"{TOOLS}{raw} tpm2_createprimary -Q -C o -G ecc")
    guest.ok(f"{TOOLS}{raw} tpm2_startauthsession -S session")
    assert len(guest.script("tpm_handles")) == 2
    guest.ok("pykexec bridge stop tpm")
    assert guest.script("tpm_handles") == []
    assert guest.run("test -e /dev/pykexec/tpm -o -e /dev/tpm0 -o -e /dev/tpm1").status == 1


def kill_tpm(guest: Guest) -> None:
    """End this machine's swtpm."""
    state = f"dir={guest.vm.directory}/tpm/state".encode()
    (pid,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if state in path.read_bytes().split(b"\0")
    )
    os.kill(pid, signal.SIGKILL)


def end_linux_by_kexec(guest: Guest) -> None:
    """Linux ends with the TPM's bridge running, so that it says TPM2_Shutdown."""
    start_bridge(guest)
    guest.ok(f"pykexec exec '{HELLO_PATH}' --load-only --options measured")
    guest.send("kexec -e")
    guest.payload_ran("measured")
    guest.ready()


@pytest.mark.parametrize(
    ("way", "tpm"),
    [pytest.param(NBD, "tis", marks=pytest.mark.matrix), (UBLK, "crb")],
    ids=str,
)
def test_programs_use_the_firmwares_tpm(way: Way, tpm: str, boot: Boot, tmp_path: Path) -> None:
    check_programs(way, way.firmware, tpm, boot, tmp_path)


def check_programs(way: Way, version: str, tpm: str, boot: Boot, tmp_path: Path) -> None:
    chosen = tpm_image(way.kernel, way.config)
    machine = machine_with(tmp_path, firmware(version), chosen, tpm=tpm)
    guest = Guest(boot(machine)).ready()
    row = start_bridge(guest)
    assert (row["node"], row["resource_manager"]) == ("/dev/tpm0", "/dev/tpmrm0")
    check_log(guest)
    use_tools(guest)
    if not way.native:
        kill_bridge(guest)
    leave_nothing(guest)
    assert guest.firmware_is_the_same()


def test_the_end_of_linux_does_not_reach_the_tpm(boot: Boot, tmp_path: Path) -> None:
    check_end(NBD, boot, tmp_path)


def check_end(way: Way, boot: Boot, tmp_path: Path) -> None:
    chosen = image(way.kernel, config=way.config)
    machine = machine_with(tmp_path, firmware(), chosen, tpm="tis", extra=TRACE)
    guest = Guest(boot(machine)).ready()
    start_bridge(guest)
    check_commands(way, guest)
    clock = guest.script("tpm_commands")["after"]
    end_linux_by_kexec(guest)
    start_bridge(guest)
    assert guest.script("tpm_commands")["after"] == clock
    # What was measured meanwhile is in the log, and explains the registers.
    assert "hello.efi" in guest.ok("pykexec eventlog")
    sent = sent_to_tpm(guest)
    assert sent.count(STARTUP_CLEAR) == 1  # The firmware's own.
    assert not [command for command in sent if command.startswith(SHUTDOWN)]
    assert not [command for command in sent if command.startswith(CREATE_PRIMARY_BY_PLATFORM)]

    # A TPM that is no more: an error, not silence; Linux and the bridge go on.
    kill_tpm(guest)
    found = guest.run("pykexec eventlog", within=200)
    assert (found.status, "TPM" in found.output.upper()) == (7, True), found
    start_bridge(guest)


def test_without_the_filter_the_end_of_linux_reaches_the_tpm(boot: Boot, tmp_path: Path) -> None:
    built = image(defines=("PK_TEST_NO_TPM_FILTER",))
    machine = machine_with(tmp_path, firmware(), built, tpm="tis", extra=TRACE)
    guest = Guest(boot(machine)).ready()
    start_bridge(guest)
    filtered = guest.script("tpm_commands")["filtered"]
    assert filtered["startup"] == INITIALIZE
    assert filtered["shutdown nonsense"] == VALUE_1
    assert filtered["platform"] != HIERARCHY_1
    sent = sent_to_tpm(guest)
    assert [command for command in sent if command.startswith(CREATE_PRIMARY_BY_PLATFORM)]
    end_linux_by_kexec(guest)
    assert sent_to_tpm(guest).count(SHUTDOWN_CLEAR) > sent.count(SHUTDOWN_CLEAR) > 0


def test_without_a_tpm_everything_says_so(agent_ready: AgentReady) -> None:
    guest = agent_ready(image(), firmware(), **BARE)
    assert guest.ok("pykexec bridge start tpm").splitlines()[-1] == "no TPM"
    assert guest.run("pykexec eventlog") == Result(7, "pykexec: the firmware has no TPM 2.0")
    found = guest.run("/inside/tpm_handles")
    assert (found.status, "NOT_FOUND" in found.output) == (1, True), found
