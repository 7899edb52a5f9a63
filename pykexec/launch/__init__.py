# SPDX-License-Identifier: Apache-2.0
"""Verified launch: from a manifest to one unified xen.efi and one bundle of domains."""
