# SPDX-License-Identifier: Apache-2.0
"""What is done with foreign bytes where there is more to it than a parser, and what must hold."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from pykexec.attest.jwe import open_direct, open_to_key
from pykexec.attest.protocol import Evidence
from pykexec.config.agent import AgentConfig, parse_config, resolve_network_config
from pykexec.config.url import parse_url
from pykexec.crypto import EcdhKey, ecdh_generate
from pykexec.disk import gpt, probe, reader
from pykexec.efi import authenticode as signatures
from pykexec.efi import pe as pe_file
from pykexec.efi.device_path import DevicePath, parse
from pykexec.efi.guid import Guid
from pykexec.efi.secure_boot import Trust, refusals
from pykexec.efi.signature_list import X509, SignatureList, without_authentication
from pykexec.errors import FormatError, UsageError
from pykexec.image import kernel_config
from pykexec.kexec.request import _check_application
from pykexec.net import boot_server, connection, dhcp6_message, dhcp_packet, http, record, tftp
from pykexec.net.firmware import lease_from_path
from pykexec.net.lease import Lease
from pykexec.net.transfer import Deadline, Limits, Sink
from pykexec.policy.appraisal import appraise
from pykexec.policy.learn import LearnOptions, learn
from pykexec.policy.model import Context
from pykexec.policy.parse import parse_policy
from pykexec.policy.predict import Changes, predict
from pykexec.tpm import capability, event_text, eventlog, nv, objects, pcr
from pykexec.tpm.constants import Handle, Property
from pykexec.tpm.transport import patient
from pykexec.verify import chain
from pykexec.verify.certificates import parse_bundle
from pykexec.verify.chain import ChainError
from pykexec.verify.explain import explain
from pykexec.verify.signatures import parse_signatures
from pykexec.verify.verify import verify
from pykexec.windows import machine as windows_machine
from tests.support import attest_log
from tests.support.attest_expected import EXPECTED, NONCE
from tests.support.attest_machine import Machine

KEY = bytes(range(32))
_PATIENCE_S = 60  # by the clock: no busy machine is to refuse for it
_SIZE_MAX = 1 << 16
_CHANGES = Changes(
    appended={"db": attest_log.signature_list(Guid(bytes(16)), [bytes(32)])},
    version="2",
    application=bytes(32),
)
_BY_SHIM = Trust((), (), True, (), (), (("sbat", 1), ("shim", 4)))
_POLICY = b"""
version = 1
name = "demanding"
allow_any_image = true
[secure_boot]
required = true
[payload]
sha256 = ["%s"]
self_contained = true
""" % (b"ab" * 32)


def agent_toml(data: bytes) -> None:
    """Embedded, and from a network, which may not open what the embedded one has closed."""
    parse_config(data, "x")
    closed = AgentConfig(shell=False)
    found = resolve_network_config(closed, data, "x")
    assert not found.shell and not found.network.authorities


def authenticode(data: bytes) -> None:
    """As an image whose signature is looked at, with a certificate of its own in db and dbx."""
    image = pe_file.parse(data, "x")
    for found in signatures.signatures(data, image, "x"):
        listed = tuple(
            SignatureList(X509, b"", 16, (bytes(16) + c.der,)) for c in found.certificates
        )
        signatures.appraise(data, image, listed, listed, "x")


def certificates(data: bytes) -> None:
    """As a bundle of roots, and as what a TPM's NV holds: the EK's certificate, or one above it."""
    try:
        roots = chain.ek_roots(parse_bundle(data, "x"))
    except FormatError:
        roots = chain.ek_roots(EXPECTED.ek_roots)
    leaf, *_ = _machine().certificates
    key = _machine().ek.public_key()
    for presented in ((data,), (leaf, data)):
        with suppress(ChainError):
            json.dumps(roots.verify(presented, key, EXPECTED.now).to_json())


def device_path(data: bytes) -> None:
    """As text, and the boot server that is found in it."""
    path = parse(data)
    assert bool(str(path)) == bool(path.nodes)
    boot_server.nic_of(path)
    boot_server.url_of(path)
    assert path.partition_guid is None or str(path.partition_guid)
    if lease := lease_from_path(path):
        _check_lease(lease)


def device_path_text(data: bytes) -> None:
    """From text, and as bytes the same."""
    path = DevicePath.from_text(data.decode("utf-8", "replace"))
    assert parse(bytes(path)) == path


def dhcp(data: bytes) -> None:
    """As the lease and as where to boot from."""
    url = boot_server._url_of_dhcp4(data)
    assert url is None or parse_url(str(url)) == url
    packet = dhcp_packet.parse_packet(data)
    _check_lease(dhcp_packet.lease_from(packet, "x"))


def dhcp6(data: bytes) -> None:
    """As the lease, and as the server's refusal."""
    boot_server._url_of_dhcp6(data)
    packet = dhcp6_message.parse_packet(data)
    dhcp6_message.status_of(packet)
    _check_lease(dhcp6_message.lease_from(packet, "x"))


def _check_lease(lease: Lease) -> None:
    json.dumps(record.to_plain(lease))
    words = (*lease.name_servers, *lease.domains)
    assert all(word.isascii() and word.isprintable() and " " not in word for word in words)
    assert lease.mtu is None or lease.mtu < 1 << 16


def event_log(data: bytes) -> None:
    """In words, as what each bank's registers would be, and would be after an update."""
    log = eventlog.parse_event_log(data)
    for event in log.events:
        assert event_text.describe(event).isprintable()
    for bank in eventlog.replayable_banks(log):
        registers = eventlog.replay(log, bank)
        with suppress(FormatError, UsageError):
            predict(log, bank, registers, _CHANGES)
    with suppress(FormatError):
        assert all(str(each).isprintable() for each in windows_machine.authorities(data))


def pieces(evidence: Evidence) -> list[bytes]:
    """The parts of evidence, each as evidence() takes it."""
    who = evidence.identity
    parts = [evidence.event_log, evidence.statement, evidence.quote, evidence.signature]
    parts += [who.ek_public, who.ek_certificates[0], who.ak_public]
    return [bytes([index]) + part for index, part in enumerate(parts)]


def evidence(data: bytes) -> None:
    """One part of it is anything, the others are good: there is a verdict, which can be read."""
    kind, part, good = data[0] if data else 0, data[1:], _evidence()
    who = good.identity
    spoilt = (
        replace(good, event_log=part),
        replace(good, statement=part),
        replace(good, quote=part),
        replace(good, signature=part),
        replace(good, identity=replace(who, ek_public=part)),
        replace(good, identity=replace(who, ek_certificates=(part, *who.ek_certificates[1:]))),
        replace(good, identity=replace(who, ak_public=part)),
    )
    verified = verify(spoilt[kind % len(spoilt)], EXPECTED)
    json.dumps(verified.claims)
    assert all(line.isprintable() for line in explain(verified).split("\n"))
    found = appraise(verified.claims, parse_policy(_POLICY, "x"), Context(EXPECTED.now))
    assert all(str(finding).isprintable() for finding in found)
    if verified.verdict.accepted:
        learnt = parse_policy(learn(verified.claims, LearnOptions("x")).encode(), "learnt")
        assert not appraise(verified.claims, learnt, Context(EXPECTED.now))


@cache
def _machine() -> Machine:
    return Machine()


@cache
def _evidence() -> Evidence:
    return _machine().evidence(NONCE)


def file_system(data: bytes) -> None:
    """As a disk with partitions, and as a volume, read as files are."""
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, data)
        found = probe.probe(reader(fd))
        assert found is None or found.type
        gpt.read_gpt(reader(fd), 512, len(data) // 512)
    finally:
        os.close(fd)


def http_answer(data: bytes) -> None:
    """What a server sends, up to its end, for GET; no more is taken than may come."""
    ours, theirs = socket.socketpair()
    limits = Limits(size=_SIZE_MAX, timeout_s=_PATIENCE_S, total_s=_PATIENCE_S, attempts=1)
    theirs.settimeout(_PATIENCE_S)
    url = parse_url("http://server/dir/file")
    # Where it is sent elsewhere there is nothing.
    connections = iter([ours, *_empty_answers(http.MAX_REDIRECTS)])
    connect = mock.patch.object(connection, "_connect", lambda *to: next(connections))
    with ours, theirs, _sink() as sink, connect:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(data) + 4096)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with _printable_errors():
            http.get(url, sink, limits, Deadline(limits))
        assert sink.size <= _SIZE_MAX


def _empty_answers(count: int) -> Iterator[socket.socket]:
    for _ in range(count):
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        yield ours


def tftp_packets(data: bytes) -> None:
    """Packets of a server, each behind its size in two bytes, and then silence."""
    waiting = list(_packets(data))

    class Udp:
        def __init__(self, *kind: object) -> None:
            pass

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = settimeout = sendto = lambda self, *words: None

        def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
            if not waiting:
                raise OSError("silence")
            return waiting.pop(0), ("server", 1)

    limits = Limits(size=_SIZE_MAX, timeout_s=_PATIENCE_S, total_s=_PATIENCE_S)
    names = SimpleNamespace(socket=Udp, SOCK_DGRAM=0)
    server = [(0, ("server", 69))]
    with (
        _sink() as sink,
        mock.patch.object(tftp, "socket", names),
        mock.patch.object(tftp, "resolve", lambda *to: server),
        _printable_errors(),
    ):
        tftp.read(parse_url("tftp://server/f"), sink, limits, Deadline(limits))
        assert sink.size <= _SIZE_MAX


def _packets(data: bytes) -> Iterator[bytes]:
    while data:
        size = int.from_bytes(data[:2])
        yield data[2 : 2 + size]
        data = data[2 + size :]


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        assert str(error).isprintable() and len(str(error)) < 4096
        raise


@contextmanager
def _sink() -> Iterator[Sink]:
    fd = os.memfd_create("fuzz")
    try:
        yield Sink(fd, parse_url("http://server/f"), _SIZE_MAX)
    finally:
        os.close(fd)


def jwe(data: bytes) -> None:
    """A token, opened by the key that those to start from are sealed with."""
    open_direct(data.decode("utf-8", "replace"), KEY)


def jwe_to_key(data: bytes) -> None:
    """The same, sealed to a key on P-256."""
    with open_to_key(data.decode("utf-8", "replace"), recipient()) as secret:
        assert len(secret.view) <= len(data)


@cache
def recipient() -> EcdhKey:
    """Whom those tokens are for that jwe_to_key() starts from."""
    return ecdh_generate("P-256")


def pe(data: bytes) -> None:
    """Its sections, its digest, and whether it is taken for a payload."""
    image = pe_file.parse(data, "x")
    with suppress(FormatError):
        _check_application(data, "x")
    pe_file.check_sections(data, image, "x")
    for section in image.sections:
        pe_file.section_data(data, section)
    pe_file.authenticode_digest(data, image)
    assert all(line.isprintable() for line in refusals(data, "x", _BY_SHIM))


def kernel(data: bytes) -> None:
    """The configuration that a kernel carries, and what it lacks."""
    nowhere = Path("/nonexistent")
    options = kernel_config.read(nowhere / "vmlinuz", data, "6.1", nowhere)
    assert all(line.isprintable() for line in kernel_config.lacks(options, None))


def signature_lists(data: bytes) -> None:
    """As a variable's content, and as a file that updates one."""
    parse_signatures(without_authentication(data))


def tpm_response(data: bytes) -> None:
    """To whatever was asked, which the first byte chooses."""
    questions = (
        lambda tpm: capability.handles(tpm, Handle.PERSISTENT_EK_FIRST),
        capability.active_banks,
        lambda tpm: capability.tpm_property(tpm, Property.NV_BUFFER_MAX),
        lambda tpm: pcr.read_pcrs(tpm, "sha256", range(3)),
        lambda tpm: nv.read_nv(tpm, 0x1C00002),
        lambda tpm: objects.read_public(tpm, Handle.PERSISTENT_EK_FIRST),
    )
    question, response = questions[data[0] % len(questions)] if data else questions[0], data[1:]
    question(patient(lambda command: response, patience_s=0))


def url(data: bytes) -> None:
    """An address, and what it leads to from elsewhere."""
    text = data.decode("utf-8", "replace")
    found = parse_url(text)
    assert parse_url(str(found)) == found
    found.join("sub/../agent.toml")
    assert found.file_name is not None
    parse_url("http://server/dir/file").join(text)
