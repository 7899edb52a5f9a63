# SPDX-License-Identifier: Apache-2.0
"""Every key of agent.toml: what it may be, what counts without it, what it is for."""

from __future__ import annotations

from pykexec.config.bridges import KINDS
from pykexec.config.table import FLAG, SECONDS, TEXT, TEXTS, Key, Section

ACTIONS = ("agent", "firmware", "boot-next", "reset", "shell")
"""The names of enum pk_action that a configuration may use."""
EK_KINDS = ("auto", "rsa2048", "ecc-p256", "ecc-p384")
"""Endorsement keys that may be asked for; "auto" is the best one that has a certificate."""
BANKS = ("sha256", "sha384")
"""PCR banks that may be quoted."""

LOCKED = Key("locked", FLAG, False, "no other agent.toml takes the place of this one")
ROOT = Section("", "", (LOCKED,))

PATH = Key("path", TEXT, "", r"a file on a volume, from its root: `'\EFI\debian\grubx64.efi'`")
URL = Key(
    "url",
    TEXT,
    "",
    "or its address: `http`, `https` or `tftp`; a relative one begins where the image came from",
)
VOLUME = Key(
    "volume",
    TEXT,
    "",
    "which volume: its GPT partition GUID, its label, or its device path",
    unset="the image's own",
)
OPTIONS = Key("options", TEXT, "", "load options: a kernel's command line, say")
SHA256 = Key("sha256", TEXT, "", "what the file must have, in hexadecimal digits", unset="any")
LAUNCH = "launch"
PAYLOAD_KIND = Key(
    "kind",
    TEXT,
    "efi",
    "`launch`: the whole of a [verified launch](launch.md), a unified xen.efi without options; "
    "anything else is refused",
    choices=("efi", LAUNCH),
)
PAYLOAD = Section(
    "payload",
    "What is started. With a payload the boot is unattended: nobody is asked, the failure action "
    "is `boot-next`, and there is no shell unless `agent.shell` allows one.",
    (PATH, URL, VOLUME, OPTIONS, SHA256, PAYLOAD_KIND),
)

MENU_DEFAULT = Key(
    "default",
    TEXT,
    "",
    "the entry that is started when `agent.timeout_s` has passed and nobody has pressed a key; "
    "with 0 seconds at once, without a menu",
    unset="somebody has to choose",
)
OFFER = Key(
    "offer",
    TEXTS,
    (),
    "what is shown behind the entries: `firmware`, its boot options (`Boot####`); `disks`, boot "
    "loader specification entries and unified kernel images on ESPs and XBOOTLDR partitions. With "
    "`[attest]` these spend the boot as a shell does, and need `agent.shell`",
    unset="nothing",
    choices=("firmware", "disks"),
)
MENU = Section(
    "menu",
    "With this table or an entry the agent has a menu, and no `[payload]`. The boot is unattended "
    "as with a payload: the failure action is `boot-next`, and there is no shell unless "
    "`agent.shell` allows one.",
    (MENU_DEFAULT, OFFER),
)

NAME = Key("name", TEXT, "", "what the menu shows; no two entries have the same")
KIND = Key(
    "kind",
    TEXT,
    "efi",
    "`efi`: an EFI application is started. `windows`: the same, and it is Windows' boot manager, "
    "for which the disks are looked at as with `[windows]`. `launch`: as in `payload.kind`. "
    "`shell`: the rescue shell. `firmware`, `boot-next`, `reset`: as in `failure.action`",
    choices=("efi", "windows", LAUNCH, "shell", "firmware", "boot-next", "reset"),
)
NEEDS_CHOICES = ("attest", "approval", "shell")
"""What may be demanded of an entry."""
NEEDS = Key(
    "needs",
    TEXTS,
    (),
    "what is demanded before it is started: `attest`, an accepted attestation, whatever "
    "`attest.required` is; `approval`, one that persons have approved; `shell`, that a shell is "
    "allowed, for it gives what is as good as one: the boot is spent first and not attested",
    unset="nothing more",
    choices=NEEDS_CHOICES,
)
ENTRY = Section(
    "entry",
    "One that can be chosen; at most 1,000.",
    (NAME, KIND, PATH, URL, VOLUME, OPTIONS, SHA256, NEEDS),
    repeated=True,
)

ACTION = Key(
    "action",
    TEXT,
    "agent",
    "`agent`: Linux is started again from the image still in memory, and knows the payload's "
    "fate. `shell`: the same, into the rescue shell. `firmware`: the boot manager's menu. "
    "`boot-next`: the boot manager tries its next entry. `reset`: the machine is reset",
    unset="`boot-next` with a payload, else `agent`",
    choices=ACTIONS,
)
FAILURE = Section(
    "failure",
    "What happens when the firmware refuses the payload, when it returns, or when it cannot be "
    "had at all.",
    (ACTION,),
)

MENU_TIMEOUT_S = Key(
    "timeout_s",
    SECONDS,
    0,
    "seconds before the payload, or the menu's default, is started; so long a key opens the menu, "
    "with a payload if a shell is allowed",
)
SHELL = Key(
    "shell",
    FLAG,
    True,
    "a person at the console may have a shell and the menu",
    unset="false with a payload, else true",
)
# "net" waits until something needs it, since it takes the NICs away from the firmware.
BRIDGES = Key(
    "bridges",
    TEXTS,
    ("block", "tpm"),
    "what is bridged from the start; the rest when something asks for it",
    unset="none with a payload, else `block` and `tpm`",
    choices=KINDS,
)
NATIVE = Key(
    "native",
    FLAG,
    True,
    "use the kernel's own drivers and kexec where it has them (the kernel series)",
)
AGENT = Section("agent", "How the agent behaves.", (MENU_TIMEOUT_S, SHELL, BRIDGES, NATIVE))

DRIVERS = Key(
    "drivers",
    TEXTS,
    (),
    r"EFI drivers, each a file on the image's own volume (`'\EFI\drivers\ext4_x64.efi'`) or its "
    "address, a relative one beginning where the image came from; in the embedded configuration "
    "only, whose list stays whatever overrides it",
    unset="none",
)
FIRMWARE = Section(
    "firmware",
    "What the firmware lacks: it loads, verifies, measures (into PCR 2) and connects them, one by "
    "one, before the agent looks for anything.",
    (DRIVERS,),
)

CA = Key(
    "ca",
    TEXT,
    "",
    "who alone may vouch for HTTPS servers, authorities or the server's own certificate: PEM, or "
    "the path of a file in the initramfs; in the embedded configuration only",
    unset="nobody: HTTPS is refused",
)
INTERFACE = Key(
    "interface",
    TEXT,
    "",
    "a NIC's MAC address or name",
    unset="the one that the image came from, else any with a lease",
)
ADDRESS = Key(
    "address", TEXT, "", "address with prefix length, `10.0.0.5/24`, instead of DHCP", unset="DHCP"
)
GATEWAY = Key("gateway", TEXT, "", "the router, with `address`", unset="none")
DNS = Key("dns", TEXTS, (), "name servers, with `address`", unset="none")
SILENCE_S = Key("timeout_s", SECONDS, 10, "seconds that a server may be silent")
TOTAL_S = Key("total_s", SECONDS, 600, "seconds that a download may last")
NETWORK = Section(
    "network",
    "How servers are reached, and whom to trust.",
    (CA, INTERFACE, ADDRESS, GATEWAY, DNS, SILENCE_S, TOTAL_S),
)

SERVER = Key("server", TEXT, "", "the server's `https://` address; the protocol's paths are added")
REQUIRED = Key(
    "required",
    FLAG,
    True,
    "without an accepted attestation the payload is not started: the failure action is taken",
)
ATTEST_TIMEOUT_S = Key("timeout_s", SECONDS, 120, "seconds for all attempts together, 1 or more")
APPROVAL_S = Key(
    "approval_s",
    SECONDS,
    900,
    "seconds, besides, for persons to approve where the policy wants some; 0: there is nobody",
)
BANK = Key("bank", TEXT, "", "which PCR bank is quoted", unset="the server chooses", choices=BANKS)
EK = Key(
    "ek",
    TEXT,
    "auto",
    "which endorsement key; `auto` is the best one that has a certificate",
    choices=EK_KINDS,
)
PERSIST = Key(
    "persist",
    FLAG,
    False,
    "released secrets outlive boot services, for the payload's Linux, which has to wipe them; "
    "BitLocker's startup keys never do",
)
BREAK_GLASS = Key(
    "break_glass",
    TEXT,
    "",
    "the server's address as phones reach it, `https://keys.example:8443`: where the QR code leads "
    "that is shown when no server answers, if the policy has `[break_glass]`",
    unset="none is shown",
)
KEY_DISKS_CHOICES = ("both", "same", "ram-disk", "block")
"""Disks that BitLocker's startup keys may be put on."""
KEY_DISKS = Key(
    "key_disks",
    TEXT,
    "both",
    "what BitLocker's startup keys are put on: `both` a RAM disk, where the firmware makes them "
    "without a driver of ours, and a disk of our own, each with GUIDs of its own; `same`, both "
    "with the same bytes; `ram-disk` or `block`, one alone",
    choices=KEY_DISKS_CHOICES,
)
ATTEST = Section(
    "attest",
    "Who judges the machine before its payload is started. The embedded configuration's is neither "
    "replaced nor dropped by another one, and needs `network.ca`.",
    (SERVER, REQUIRED, ATTEST_TIMEOUT_S, APPROVAL_S, BREAK_GLASS, BANK, EK, PERSIST, KEY_DISKS),
)

MISMATCHES = ("fail", "start")
"""What may be done where Windows would not start unattended."""
ON_MISMATCH = Key(
    "on_mismatch",
    TEXT,
    "fail",
    "where what is found would end in a recovery screen or not start at all: `fail` takes the "
    "failure action, `start` only says so",
    choices=MISMATCHES,
)
WINDOWS = Section(
    "windows",
    "With this table the payload is Windows' boot manager: before it is started the disks are "
    "looked at, as by `pykexec windows check`, and what was released is tried on the volumes.",
    (ON_MISMATCH,),
)

WIM = Key(
    "wim",
    TEXT,
    "",
    "the wim: its name where the payload is, or an address or a path; it is put where the BCD "
    r"names one, else at `\sources\boot.wim`",
)
SDI = Key("sdi", TEXT, "boot.sdi", "likewise the RAM disk that Windows wants with it")
BCD = Key("bcd", TEXT, "BCD", "likewise the boot configuration")
STL = Key("stl", TEXT, "", "likewise `boot.stl`, which WinPE 24H2 and later want", unset="none")
WIM_SHA256, SDI_SHA256, BCD_SHA256, STL_SHA256 = (
    Key(f"{name}_sha256", TEXT, "", f"what `{name}` must have, as `payload.sha256`", unset="any")
    for name in ("wim", "sdi", "bcd", "stl")
)
WIM_FILES = ((WIM, WIM_SHA256), (SDI, SDI_SHA256), (BCD, BCD_SHA256), (STL, STL_SHA256))
WIM_SECTION = Section(
    "wim",
    "With this table the payload is the boot manager, `bootmgfw.efi`, of an installer or of WinPE, "
    "which is started from a disk in the firmware's memory with these files on it.",
    tuple(key for pair in WIM_FILES for key in pair),
)

SECTIONS = (
    *(ROOT, PAYLOAD, MENU, ENTRY, WIM_SECTION, FAILURE, AGENT, FIRMWARE, NETWORK, ATTEST, WINDOWS),
)
"""All of the file."""
