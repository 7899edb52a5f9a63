# SPDX-License-Identifier: Apache-2.0
"""`pykexec demo`: the main job on the harness, stage by stage."""
