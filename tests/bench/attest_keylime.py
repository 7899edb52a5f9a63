# SPDX-License-Identifier: Apache-2.0
"""keylime's verification of a quote and its event log, by keylime's own functions, timed.

Runs by itself in a Python environment that has keylime and nothing of ours: reads JSON, prints
JSON. What is called: keylime.tpm.tpm_util.checkquote() and, for the log, keylime's
tpm2_tools_elparser.bootlog_parse(), which runs tpm2_eventlog and reads its YAML.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from collections.abc import Callable


def cpu_s() -> float:
    """Of this process and of all its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(function: Callable[[], object], rounds: int) -> float:
    """CPU milliseconds of one call."""
    function()
    start = cpu_s()
    for _ in range(rounds):
        function()
    return (cpu_s() - start) / rounds * 1000


def main() -> None:
    """Verify what standard input holds."""
    from keylime.mba.elparsing import tpm2_tools_elparser
    from keylime.tpm import tpm_util

    given = json.load(sys.stdin)
    ak, signature, quote, pcrs = (
        base64.b64decode(given[key]) for key in ("ak", "signature", "quote", "pcrs")
    )

    def check_quote() -> None:
        found = tpm_util.checkquote(ak, given["nonce"], signature, quote, pcrs, "sha256")
        assert len(found) == given["count"], found

    def check_log() -> None:
        values, _, _, failure = tpm2_tools_elparser.bootlog_parse(given["log"], "sha256")
        assert values and not failure, failure

    print(
        json.dumps(
            {"quote_ms": timed(check_quote, 200), "log_ms": timed(check_log, 5)},
        )
    )


if __name__ == "__main__":
    main()
