# SPDX-License-Identifier: Apache-2.0
"""What agent.toml and the command line call the devices that can be bridged."""

from __future__ import annotations

KINDS = ("block", "net", "tpm")
"""Each is a module of pykexec.bridge with discover(mailbox) and serve(bridge, stop_fd)."""
