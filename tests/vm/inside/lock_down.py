# SPDX-License-Identifier: Apache-2.0
"""Has the kernel lock itself down as PID 1 does; prints how far it was and is."""

import json

from pykexec.linux.lockdown import lock_down, read_level

before = read_level()
lock_down()
print(json.dumps([before, read_level()]))
