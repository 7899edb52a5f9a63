# SPDX-License-Identifier: Apache-2.0
"""What the server remembers: rows over SQLite and PostgreSQL, sealed and audited."""
