# SPDX-License-Identifier: Apache-2.0
"""HTTP: requests in, answers out, limits on both; what is decided is the service's."""
