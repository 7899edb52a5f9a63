# SPDX-License-Identifier: Apache-2.0
"""Loads the modules that are its arguments; prints as JSON what the kernel's log has of each."""

import json
import os
import sys

from pykexec.linux.modules import load

said = {}
log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
for name in sys.argv[1:]:
    os.lseek(log, 0, os.SEEK_END)
    faults = load(name)
    lines = []
    while True:
        try:
            record = os.read(log, 8192).decode(errors="replace")
        except BlockingIOError:
            break
        lines.append(record.partition(";")[2].splitlines()[0])
    said[name] = faults + lines
print(json.dumps(said))
