# SPDX-License-Identifier: Apache-2.0
"""The boot menu: what is offered, what keys make of it, how it is drawn. The guest carries out."""
