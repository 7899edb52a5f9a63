# SPDX-License-Identifier: Apache-2.0
"""Posts exchanges that no bridge would; prints as JSON what the stub says to each.

No bridge may have a NIC meanwhile.
"""

import json

from pykexec._native import ffi, lib
from pykexec.abi import Op
from pykexec.abi_devices import NetConstant
from pykexec.bridge.net import close_nic, find_nics, open_nic
from pykexec.bridge.window import Port, open_port
from pykexec.errors import FirmwareError
from pykexec.firmware.devices import handle_request
from pykexec.firmware.handles import list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.status import status_name

SLOTS, SIZE = NetConstant.SLOTS, NetConstant.EXCHANGE_SIZE
DATA_SIZE = 266240
FRAME = 60

mailbox = Mailbox()
nic = find_nics(mailbox)[0][1]
disk = next(handle.number for handle in list_handles(mailbox) if handle.kind == "disk")


def post(
    port: Port,
    handle: int = nic.number,
    nr_transmit: int = 0,
    nr_receive: int = 0,
    frame: int = FRAME,
    position: int = 0,
    size: int = SIZE,
) -> str:
    """One exchange whose frames are all of 60 bytes, but that at position."""
    header = ffi.cast("struct pk_net_exchange *", port.data)
    header.nr_transmit, header.nr_receive = nr_transmit, nr_receive
    for slot in range(SLOTS):
        header.transmit_size[slot] = FRAME
    header.transmit_size[position] = frame
    descriptor = ffi.new("struct pk_descriptor *")
    descriptor.op, descriptor.handle = Op.NET_EXCHANGE, handle
    descriptor.size = descriptor.capacity = size
    result = lib.pk_port_transfer(port.pointer, descriptor, 1)
    return f"errno {-result}" if result else status_name(descriptor.status)


def ask(op: int, handle: int) -> str:
    """A request about a handle."""
    (reply,) = mailbox.call([handle_request(op, "hostile", handle)])
    return status_name(reply.status)


found: dict[str, dict[str, str]] = {}
for way in ("window", "mailbox"):
    with open_port(DATA_SIZE, by_mailbox=way == "mailbox") as port:
        assert port.is_window == (way == "window")
        said = found[way] = {}
        said["not open"] = post(port)
        open_nic(mailbox, nic.number)
        said["good"] = post(port, nr_transmit=1, nr_receive=SLOTS)
        said["all slots"] = post(port, nr_transmit=SLOTS, nr_receive=SLOTS)
        said["a slot too many to send"] = post(port, nr_transmit=SLOTS + 1)
        said["endless to send"] = post(port, nr_transmit=0xFFFFFFFF)
        said["a slot too many to receive"] = post(port, nr_receive=SLOTS + 1)
        said["endless to receive"] = post(port, nr_receive=0xFFFFFFFF)
        for frame in (0, 13, 1515, NetConstant.SLOT_SIZE, 0xFFFF):
            said[f"frame of {frame}"] = post(port, nr_transmit=1, frame=frame)
        said["the last frame"] = post(port, nr_transmit=SLOTS, frame=0xFFFF, position=SLOTS - 1)
        said["a byte too few"] = post(port, size=SIZE - 1)
        said["a header's bytes"] = post(port, size=ffi.sizeof("struct pk_net_exchange"))
        said["no bytes"] = post(port, size=0)
        said["no handle"] = post(port, handle=0)
        said["a disk's handle"] = post(port, handle=disk)
        said["a handle of nobody"] = post(port, handle=0xFFFFFFFF)
        said["opened again"] = ask(Op.NET_OPEN, nic.number)
        said["good afterwards"] = post(port, nr_transmit=1, nr_receive=SLOTS)
        close_nic(mailbox, nic.number)
        said["closed"] = post(port)
found["requests"] = {
    f"{op.name} of {what}": ask(op, number)
    for op in (Op.NET_OPEN, Op.NET_CLOSE, Op.NET_STATISTICS, Op.NET_PXE)
    for what, number in (("nothing", 0), ("a disk", disk), ("nobody", 0xFFFFFFFF))
}
try:
    close_nic(mailbox, nic.number)
    found["requests"]["close twice"] = "no fault"
except FirmwareError as error:
    found["requests"]["close twice"] = str(error)
print(json.dumps(found))
