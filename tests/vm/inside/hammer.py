# SPDX-License-Identifier: Apache-2.0
"""Calls the mailbox from several processes beside a busy Linux; prints what came of it as JSON.

Arguments: clients, calls of each. Burners compute, write to a tmpfs and check vector registers
meanwhile.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable

from pykexec.abi import Op
from pykexec.firmware.info import read_info
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.self_test import self_test
from pykexec.firmware.status import SUCCESS
from pykexec.firmware.wire import pack, struct_size

NICENESS = 5  # The burners fill every gap, but leave the clients the greater part.


def float_sum() -> float:
    """Takes a while and must always be the same."""
    total = 0.0
    for i in range(1, 20000):
        total += (i * 0.1) ** 0.5 / i
    return total


def client(nr_calls: int) -> int:
    """Every answer must be the one to its question, of the size that the question says."""
    expected = float_sum()
    memory_map = pack("pk_memory_map_request", kind=1)
    requests = [Request(Op.INFO, "info"), Request(Op.MEMORY_MAP, "map", memory_map)]
    with Mailbox() as mailbox:
        for number in range(nr_calls):
            info, layout = mailbox.call(requests)
            if info.status != SUCCESS or len(info.body) != struct_size("pk_info"):
                return 1
            if layout.status != SUCCESS or not layout.body:
                return 2
            if number % 500 == 0 and float_sum() != expected:
                return 3
    return 0


def compute() -> int:
    """Floats for ever."""
    expected = float_sum()
    while float_sum() == expected:
        pass
    return 4


def write(name: str) -> int:
    """A tmpfs file, written and read back for ever."""
    data = os.urandom(1 << 18)
    while True:
        with open(name, "wb") as file:
            file.write(data)
        with open(name, "rb") as file:
            if file.read() != data:
                return 5


def start(function: Callable[..., int], *arguments: object, niceness: int = 0) -> int:
    """A child process that ends with what function returns."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.nice(niceness)
        code = function(*arguments)
    finally:
        os._exit(code)


nr_clients, nr_calls = map(int, sys.argv[1:])
mailbox = Mailbox()
switches = read_info(mailbox).nr_switches
burners = [start(compute, niceness=NICENESS), start(write, "/tmp/hammer", niceness=NICENESS)]
before = self_test(mailbox).nr_ticks
started = time.monotonic()
clients = [start(client, nr_calls) for _ in range(nr_clients)]
during = self_test(mailbox).nr_ticks
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in clients]
seconds = time.monotonic() - started
after = self_test(mailbox).nr_ticks
alive = [os.waitpid(burner, os.WNOHANG) == (0, 0) for burner in burners]
for burner in burners:
    os.kill(burner, signal.SIGKILL)
    os.waitpid(burner, 0)
answer = {
    "codes": codes,
    "burners_alive": alive,
    "ticks": [before, during, after],
    "nr_switches": read_info(mailbox).nr_switches - switches,
    "seconds": round(seconds, 1),
}
print(json.dumps(answer))
