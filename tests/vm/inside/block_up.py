# SPDX-License-Identifier: Apache-2.0
"""Load the kernel modules that are its arguments, have the disks bridged; prints the rows.

"ublk" before them: by ublk, also on a kernel on which it is not to be trusted.
"""

import json
import sys

from pykexec.bridge import disk_device, supervisor
from pykexec.linux.modules import load

names = sys.argv[1:]
if names[:1] == ["ublk"]:
    names = names[1:]
    supervisor.stop()  # The agent's.
    disk_device.FAULTY_UBLK = ()
faults = [fault for name in names for fault in load(name)]
assert not faults, faults
print(json.dumps(supervisor.ensure("block")))
