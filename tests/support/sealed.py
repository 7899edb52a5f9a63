# SPDX-License-Identifier: Apache-2.0
"""Secrets sealed to PCRs by tpm2-tools, in the TPM of a machine that is off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.software_tpm import software_tpm

_OPTIONS = "-g sha256 -u sealed.pub -r sealed.priv"


def seal(directory: Path, pcrs: Mapping[int, bytes], handle: int, secret: bytes) -> None:
    """Make secret a persistent object of the TPM in directory, for these PCRs of SHA-256 alone."""
    selection = "sha256:" + ",".join(map(str, sorted(pcrs)))
    with software_tpm(directory) as tpm:
        (directory / "pcrs.bin").write_bytes(b"".join(pcrs[number] for number in sorted(pcrs)))
        (directory / "secret").write_bytes(secret)
        tpm.tool("tpm2_createprimary -Q -C o -c primary.ctx")
        tpm.tool(f"tpm2_createpolicy -Q --policy-pcr -l {selection} -f pcrs.bin -L policy")
        tpm.tool(f"tpm2_create -Q -C primary.ctx -L policy -i secret {_OPTIONS}")
        tpm.tool("tpm2_load -Q -C primary.ctx -u sealed.pub -r sealed.priv -c sealed.ctx")
        tpm.tool(f"tpm2_evictcontrol -Q -C o -c sealed.ctx {handle:#x}")
