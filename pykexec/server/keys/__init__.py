# SPDX-License-Identifier: Apache-2.0
"""The master key, and the keys that it wraps."""
