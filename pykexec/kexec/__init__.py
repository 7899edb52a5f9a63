# SPDX-License-Identifier: Apache-2.0
"""Starting payloads: through kexec, through the gate, or through BootNext."""
