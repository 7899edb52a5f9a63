# SPDX-License-Identifier: Apache-2.0
"""Worker processes of `pykexec serve`."""
