# SPDX-License-Identifier: Apache-2.0
"""One file a revision; a revision that was released never changes."""
