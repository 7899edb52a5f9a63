# SPDX-License-Identifier: Apache-2.0
"""Have the disks' bridges running; prints what each of them says of itself."""

import json

from pykexec.bridge import supervisor

print(json.dumps(supervisor.ensure("block")))
