# SPDX-License-Identifier: Apache-2.0
"""Telling others what happened: Standard Webhooks, sent from the audit trail."""
