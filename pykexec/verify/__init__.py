# SPDX-License-Identifier: Apache-2.0
"""The verifier: from the bytes of evidence to a verdict. Never part of the initramfs."""
