# SPDX-License-Identifier: Apache-2.0
"""Load the kernel modules that are its arguments, have the disks bridged; prints the rows."""

import json
import sys

from pykexec.bridge import supervisor
from pykexec.linux.modules import load

faults = [fault for name in sys.argv[1:] for fault in load(name)]
assert not faults, faults
print(json.dumps(supervisor.ensure("block")))
