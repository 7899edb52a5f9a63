# SPDX-License-Identifier: Apache-2.0
"""The admin API: a table of operations, and who may call which."""
