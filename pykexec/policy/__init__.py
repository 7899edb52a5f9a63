# SPDX-License-Identifier: Apache-2.0
"""Appraisal policies: read, applied to claims and told in words."""

from __future__ import annotations

from pykexec.policy.appraisal import appraise, explain
from pykexec.policy.model import Claims, Context, Policy, PolicyError
from pykexec.policy.parse import parse_policy

__all__ = ["Claims", "Context", "Policy", "PolicyError", "appraise", "explain", "parse_policy"]
