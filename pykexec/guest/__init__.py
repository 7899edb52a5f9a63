# SPDX-License-Identifier: Apache-2.0
"""What runs in the initramfs: PID 1, the agent and its menu."""
