# SPDX-License-Identifier: Apache-2.0
"""The whole chain: network boot, attestation, released key, payload that unlocks its disk; then
the same machine with an image that somebody has changed: refused, the disk stays closed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pykexec.demo import attest_stages
from pykexec.demo.attest_image import (
    MORE_FILE,
    MORE_WORDS,
    PAYLOAD_PATH,
    attested_config,
    build_image,
    with_another_command_line,
    with_another_file,
)
from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_machine import (
    KEY_FILE,
    PROOF,
    authenticode,
    digest,
    make_disks,
    make_machine,
    make_payload,
)
from pykexec.demo.attest_runs import Judged
from pykexec.demo.attest_server import choose_port, enrol, policy_for, server
from pykexec.demo.lan import IMAGE, network, serve_images
from pykexec.demo.run import (
    DemoResult,
    Observer,
    Steps,
    check_kernel,
    mib,
    result,
)
from pykexec.image import SigningKey
from pykexec.vm import swtpm
from pykexec.vm.kernels import kernel
from pykexec.vm.luks import VOLUME_UUID
from pykexec.vm.machine import Disk
from pykexec.vm.ovmf import firmware, snakeoil_key
from pykexec.vm.stages import Stage

KEY_SIZE = 32
REFUSES = "policy.image"
"""The finding that an image gets which is not the policy's."""
_NEVER = ("PK:attest:accepted:", "PK:attest:released:", "PK:stub:started:", "OS:UP")
"""What the console of a refused machine must not have."""


def run_attest_demo(
    directory: Path,
    *,
    ovmf: str = "2025.02",
    kernel_name: str = "6.1-cloud",
    observer: Observer | None = None,
) -> DemoResult:
    """Prepare everything in directory, then run the machine three times; MissedStage if anything
    is not as it must be.

    Logs, pictures, disks, images and the server's files stay in directory. The volume's key is a
    new one each time; in clear it is in none of them.
    """
    check_kernel(kernel_name)
    directory = directory.absolute()
    for name in ("served", "server", "tpm"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    observer = observer or Observer()
    steps = Steps(observer)
    key = os.urandom(KEY_SIZE)
    fw, os_kernel = firmware(ovmf, "snakeoil"), kernel(kernel_name)
    signing = SigningKey(*snakeoil_key(ovmf))
    steps.done(
        f"OVMF {ovmf} with Secure Boot and a key for tests, Linux {os_kernel.release}, "
        "both as Debian ships them"
    )
    with ExitStack() as stack:
        lan = network(stack)
        port = choose_port(lan)
        tls = make_tls(directory / "server", lan.host, lan.listen)
        url = f"https://{lan.host}:{port}"
        config = attested_config(url, tls.authority, PAYLOAD_PATH, options="persist = true")
        built = build_image(directory, os_kernel, signing, config)
        size = mib(len(built.data))
        steps.done(f"image built and signed, with its server and whom to trust in it: {size}")
        payload = make_payload(os_kernel, signing)
        swtpm.provision(directory / "tpm")
        disks = make_disks(directory, payload, key)
        steps.done("machine made: TPM with EK certificate, boot disk, LUKS2 volume by cryptsetup")
        host = stack.enter_context(server(lan, port, directory / "server", tls, directory / "tpm"))
        policy = policy_for(built.data, authenticode(payload, PAYLOAD_PATH))
        enrol(host, directory / "tpm", policy, key, str(VOLUME_UUID))
        steps.done("server set up and started; it knows machine, policy and the volume's key")
        served = directory / "served"
        (served / IMAGE).write_bytes(built.data)
        web = serve_images(stack, lan, directory, served)
        steps.done(web.title)
        machine = make_machine(fw, web.nic, lan.within, disks, directory / "tpm")
        runs = Judged(directory, observer, steps, machine, host)
        demo = _Demo(runs, directory, steps, disks[1])

        observer.on_run("1. The machine as it should be")
        demo.good(attest_stages.accepted(lan.host, os_kernel.release, KEY_FILE, PROOF))
        refused = attest_stages.refused(lan.host, os_kernel.release, REFUSES)
        observer.on_run(f"2. Who may sign adds {MORE_WORDS!r} to the kernel's command line")
        demo.bad("command-line", with_another_command_line(built.data, signing), refused)
        observer.on_run(f"3. Who may sign adds {MORE_FILE} to the initramfs")
        demo.bad("initramfs", with_another_file(built.data, signing), refused)
    return result(runs.runs, os_kernel, built)


class _Demo:
    """The runs of one machine, and what its disk was like after each."""

    def __init__(self, runs: Judged, directory: Path, steps: Steps, volume: Disk) -> None:
        self._runs, self._directory, self._steps, self._volume = runs, directory, steps, volume

    def good(self, stages: Sequence[Stage]) -> None:
        """Accepted; the volume is opened, and written to."""
        before = digest(self._volume)
        self._runs.run("accepted", stages, "guest-shutdown")
        self._runs.judged(accepted=True)
        self._runs.check(digest(self._volume) != before, "the volume was not written to")
        self._steps.done("the server's books and the disk checked")

    def bad(self, name: str, image: bytes, stages: Sequence[Stage]) -> None:
        """Refused; nothing is started, the volume stays as it is."""
        before = digest(self._volume)
        self._steps.start()
        (self._directory / "served" / IMAGE).write_bytes(image)
        self._steps.done("image on the boot server replaced")
        console = self._runs.run(name, stages, "guest-reset").log.read_text()
        for text in _NEVER:
            self._runs.check(text not in console, f"the console of a refused machine has {text}")
        reason = self._runs.judged(accepted=False)
        self._runs.check(
            digest(self._volume) == before, "the volume of a refused machine has changed"
        )
        self._runs.seen(
            f"in the server's audit trail it says: {reason}",
            "no payload was started, and on the LUKS2 volume not a bit has changed",
        )
        self._steps.done("the server's books and the disk checked")
