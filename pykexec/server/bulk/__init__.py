# SPDX-License-Identifier: Apache-2.0
"""Many machines, secrets and policies at once, all of them or none."""
