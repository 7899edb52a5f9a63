# SPDX-License-Identifier: Apache-2.0
"""Finding out, step by step, what a machine's firmware is like, and keeping it on the stick."""
