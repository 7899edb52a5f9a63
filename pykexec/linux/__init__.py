# SPDX-License-Identifier: Apache-2.0
"""This Linux itself: its modules, its network interfaces, what it says of devices that come."""
