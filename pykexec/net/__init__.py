# SPDX-License-Identifier: Apache-2.0
"""The network of the running Linux: interfaces, leases, downloads, the server we came from."""
