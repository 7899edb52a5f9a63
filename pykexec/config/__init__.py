# SPDX-License-Identifier: Apache-2.0
"""agent.toml and what else a person writes down: read once, at the border."""
