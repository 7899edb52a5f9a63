# SPDX-License-Identifier: Apache-2.0
"""Backups of a store, and how they come back."""
