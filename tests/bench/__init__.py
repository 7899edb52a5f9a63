# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of `make bench`: ratios of things measured side by side in one run."""
