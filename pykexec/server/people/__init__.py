# SPDX-License-Identifier: Apache-2.0
"""Persons: where they log in (OpenID Connect), and the codes that they type."""
