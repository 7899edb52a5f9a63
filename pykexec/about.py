# SPDX-License-Identifier: Apache-2.0
"""What the project says of itself, wherever it is asked."""

from __future__ import annotations

REPORTS_TO = "maintainers@pykexec.example"
"""Where reports go, those of security holes too. A placeholder: whoever publishes the project sets
the address here, and lint names the files that say another one.
"""
