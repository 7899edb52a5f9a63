# SPDX-License-Identifier: Apache-2.0
"""UEFI's data formats: GUIDs, device paths, PE images, variables."""
