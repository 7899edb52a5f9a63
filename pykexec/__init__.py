# SPDX-License-Identifier: Apache-2.0
"""pykexec: Linux as a universal UEFI boot loader that can hand control back."""

__version__ = "0.1.0"
