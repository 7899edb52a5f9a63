# SPDX-License-Identifier: Apache-2.0
"""Our own image's life on a machine: installed, updated, tried, promoted or given up, removed."""
