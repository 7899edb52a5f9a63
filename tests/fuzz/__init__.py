# SPDX-License-Identifier: Apache-2.0
"""The libFuzzer drivers of csrc/common and what runs them."""
