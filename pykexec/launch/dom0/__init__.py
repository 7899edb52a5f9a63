# SPDX-License-Identifier: Apache-2.0
"""What runs in dom0: verifies, measures and starts the domains of a bundle."""
