# SPDX-License-Identifier: Apache-2.0
"""The TPM: commands by way of Linux' device or the firmware, and the event log."""
