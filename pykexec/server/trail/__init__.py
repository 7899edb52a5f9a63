# SPDX-License-Identifier: Apache-2.0
"""The audit trail elsewhere: as syslog, and checked against heads that were signed and kept."""
