# SPDX-License-Identifier: Apache-2.0
"""Windows on a disk, looked at from its bytes before it is started: nothing is ever written."""
