# SPDX-License-Identifier: Apache-2.0
"""The running firmware, asked through the gate's mailbox."""
