# SPDX-License-Identifier: Apache-2.0
"""The attestation server: machines, policies, secrets, and who gets which. Not in the initramfs."""
