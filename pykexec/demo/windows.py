# SPDX-License-Identifier: Apache-2.0
"""Windows with BitLocker, as far as it can be had: attestation, startup key, and a stand-in for the
boot manager that opens a real volume with it; then the same machine with another volume's key.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pykexec.demo import windows_machine, windows_stages
from pykexec.demo.attest_image import attested_config, build_image
from pykexec.demo.attest_keys import make_tls
from pykexec.demo.attest_machine import authenticode, digest
from pykexec.demo.attest_runs import Judged
from pykexec.demo.attest_server import add_machine, choose_port, policy_for, put_secret, server
from pykexec.demo.lan import IMAGE, network, serve_images
from pykexec.demo.run import DemoResult, Observer, Steps, check_kernel, mib, result
from pykexec.image import SigningKey
from pykexec.vm import swtpm
from pykexec.vm.kernels import kernel
from pykexec.vm.ovmf import firmware, snakeoil_key

SECRET, KIND = "bitlocker", "bitlocker-external-key"


def run_windows_demo(
    directory: Path,
    *,
    ovmf: str = "2025.02",
    kernel_name: str = "6.1-cloud",
    observer: Observer | None = None,
) -> DemoResult:
    """Prepare everything in directory, then run the machine twice; MissedStage if anything is not
    as it must be.

    Logs, pictures, disks, images and the server's files stay in directory.
    """
    check_kernel(kernel_name)
    directory = directory.absolute()
    for name in ("served", "server", "tpm"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    observer = observer or Observer()
    steps = Steps(observer)
    fw, os_kernel = firmware(ovmf, "snakeoil"), kernel(kernel_name)
    signing = SigningKey(*snakeoil_key(ovmf))
    key, other_key = windows_machine.startup_key(), windows_machine.other_startup_key()
    steps.done(
        f"OVMF {ovmf} with Secure Boot and a key for tests, Linux {os_kernel.release}, and a volume"
        " that Windows 11 has encrypted (cryptsetup's tests have it)"
    )
    with ExitStack() as stack:
        lan = network(stack)
        port = choose_port(lan)
        tls = make_tls(directory / "server", lan.host, lan.listen)
        url = f"https://{lan.host}:{port}"
        path = windows_machine.MANAGER_PATH
        config = attested_config(url, tls.authority, path, payload=windows_machine.PAYLOAD)
        built = build_image(directory, os_kernel, signing, config)
        steps.done(f"image built and signed, with its server in it: {mib(len(built.data))}")
        manager = windows_machine.boot_manager(directory, signing)
        steps.done("a stand-in for Windows' boot manager built and signed")
        # Who serves addresses wants something to boot; this machine has it on its disk.
        (directory / "served" / IMAGE).write_bytes(built.data)
        web = serve_images(stack, lan, directory, directory / "served")
        steps.done(web.title)
        swtpm.provision(directory / "tpm")
        disk = windows_machine.windows_disk(directory / "disk.img", built.data, manager)
        nic = replace(web.nic, bootindex=None)
        machine = windows_machine.make_machine(directory, fw, disk, nic, lan.within)
        steps.done("machine made: TPM with EK certificate, a disk with ESP and BitLocker volume")
        host = stack.enter_context(server(lan, port, directory / "server", tls, directory / "tpm"))
        policy = policy_for(built.data, authenticode(manager, path), self_contained=False)
        add_machine(host, directory / "tpm", policy)
        put_secret(host, SECRET, KIND, key)
        steps.done("server set up and started; it knows machine, policy and startup key (.BEK)")
        runs = Judged(directory, observer, steps, machine, host)
        before = digest(machine.disks[0])

        observer.on_run("1. The machine as it should be")
        runs.run("unlocked", windows_stages.unlocked(os_kernel.release), "guest-shutdown")
        runs.judged(accepted=True)
        observer.on_run("2. The server has the startup key of another volume")
        put_secret(host, SECRET, KIND, other_key)
        steps.done("another startup key put in its place")
        runs.run("mismatch", windows_stages.mismatch(os_kernel.release), "guest-reset")
        runs.judged(accepted=True)
        runs.check(digest(machine.disks[0]) == before, "the disk was written to")
        runs.seen("the server's audit trail has both releases, and on the disk not a bit changed")
    return result(runs.runs, os_kernel, built)
