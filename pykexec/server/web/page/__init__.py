# SPDX-License-Identifier: Apache-2.0
"""The operator page: views and forms over the admin API's operations."""
