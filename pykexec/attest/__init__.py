# SPDX-License-Identifier: Apache-2.0
"""Remote attestation (RFC 9334): attester, verifier, and what they say to each other."""
