# SPDX-License-Identifier: Apache-2.0
"""What device path nodes are called in text, and which numbers stand for them (UEFI 2.10, 10.6)."""

from __future__ import annotations

# Nodes that are numbers alone: (type, subtype) -> name, layout, order of the fields in the text.
NUMBERS: dict[tuple[int, int], tuple[str, str, tuple[int, ...]]] = {
    (1, 1): ("Pci", "<BB", (1, 0)),
    (1, 2): ("PcCard", "<B", (0,)),
    (1, 3): ("MemoryMapped", "<IQQ", (0, 1, 2)),
    (1, 5): ("Ctrl", "<I", (0,)),
    (3, 2): ("Scsi", "<HH", (0, 1)),
    (3, 3): ("Fibre", "<4xQQ", (0, 1)),
    (3, 5): ("USB", "<BB", (0, 1)),
    (3, 17): ("Unit", "<B", (0,)),
    (3, 18): ("Sata", "<HHH", (0, 1, 2)),
    (3, 20): ("Vlan", "<H", (0,)),
    (3, 25): ("UFS", "<BB", (0, 1)),
    (3, 26): ("SD", "<B", (0,)),
    (3, 29): ("eMMC", "<B", (0,)),
    (4, 2): ("CDROM", "<IQQ", (0, 1, 2)),
    (4, 8): ("Offset", "<4xQQ", (0, 1)),
}
# Nodes that are a GUID, with vendor data behind it or not.
GUIDS = {
    (1, 4): "VenHw",
    (3, 10): "VenMsg",
    (4, 3): "VenMedia",
    (4, 5): "Media",
    (4, 6): "FvFile",
    (4, 7): "Fv",
}
ACPI_DEVICE = (2, 1)
ACPI_ADR = (2, 3)
ATA = (3, 1)
MAC = (3, 11)
IPV4 = (3, 12)
IPV6 = (3, 13)
UART = (3, 14)
NVME = (3, 23)
URI = (3, 24)
DNS = (3, 31)
RAM_DISK = (4, 9)
BBS = (5, 1)

PNP = 0x41D0  # "PNP" compressed, the low half of an EISA ID
ACPI_NAMES = {
    0x0A03: "PciRoot",
    0x0A08: "PcieRoot",
    0x0604: "Floppy",
    0x0301: "Keyboard",
    0x0501: "Serial",
    0x0401: "ParallelPort",
}
# 10.3.6: what starts by a BIOS.
BBS_TYPES = {1: "Floppy", 2: "HD", 3: "CDROM", 4: "PCMCIA", 5: "USB", 6: "Network"}
PROTOCOLS = {6: "TCP", 17: "UDP"}
IPV4_ORIGINS = ("DHCP", "Static")
IPV6_ORIGINS = ("Static", "StatelessAutoConfigure", "StatefulAutoConfigure")
ATA_CHANNELS = ("Primary", "Secondary")
ATA_DRIVES = ("Master", "Slave")
PARITIES = "DNEOMS"
STOP_BITS = ("D", "1", "1.5", "2")
# 10.3.5.9: EFI_VIRTUAL_DISK_GUID and its three relatives.
RAM_DISKS = {
    "77ab535a-45fc-624b-5560-f7b281d1f96e": "VirtualDisk",
    "3d5abd30-4175-87ce-6d64-d2ade523c4bb": "VirtualCD",
    "5cea02c9-4d07-69d3-269f-4496fbe096f9": "PersistentVirtualDisk",
    "08018188-42cd-bb48-100f-5387d53ded3d": "PersistentVirtualCD",
}
