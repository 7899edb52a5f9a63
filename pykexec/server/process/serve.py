# SPDX-License-Identifier: Apache-2.0
"""Run the server: workers that are started again when they die, or when they are told to."""

from __future__ import annotations

import gc
import ipaddress
import logging
import resource
import socket
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.keys.masterkey import MasterKey, open_master_key
from pykexec.server.people.operators import CALLBACK, OperatorSettings
from pykexec.server.people.provider import Provider
from pykexec.server.people.settings import PeopleSettings
from pykexec.server.process.acceptor import LimitedServer
from pykexec.server.process.supervisor import supervise
from pykexec.server.roots import add_roots
from pykexec.server.service import Service, ServiceSettings
from pykexec.server.store.accounts import Accounts
from pykexec.server.store.store import Store
from pykexec.server.web.app import Application
from pykexec.server.web.gate import Gate
from pykexec.server.web.limits import Limiter
from pykexec.server.web.metrics import Metrics
from pykexec.server.web.web import Web, WebOptions

log = logging.getLogger(__name__)

_BACKLOG = 2048
_OPEN_FILES = 65536


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Everything that `pykexec serve` may be told; listen is "HOST:PORT" or "[HOST]:PORT".

    previous are master keys by which something may still be wrapped. ek_roots is a directory of
    certificates (PEM or DER) that are added to the trusted ones. people is where persons log in who
    approve boots; None where none can. operators is how operators log in, None by passwords alone.
    """

    database: str
    master_key: str
    listen: tuple[str, ...] = ("127.0.0.1:8443",)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_plain: bool = False
    workers: int = 1
    migrate: bool = False
    ek_roots: Path | None = None
    previous: tuple[str, ...] = ()
    grace_s: int = 15
    web: WebOptions = field(default_factory=WebOptions)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    people: PeopleSettings | None = None
    operators: OperatorSettings | None = None


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; 0, or 1 when workers keep dying. SIGHUP starts them anew."""
    addresses = [parse_address(text) for text in options.listen]
    _check_tls(options, addresses)
    # What is in memory here must not get to a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _raise_open_files()
    master = open_master_key(options.master_key)
    previous = tuple(open_master_key(spec) for spec in options.previous)
    with Store.open(options.database, master, options.migrate, previous) as store:
        if options.ek_roots:
            add_roots(store, options.ek_roots)
    limiter, metrics = Limiter(), Metrics(options.workers)
    # The kernel spreads connections evenly over sockets of one port, not over who waits for one.
    sockets = [[_bind(address) for address in addresses] for _ in range(options.workers)]
    scheme = "https" if options.tls_cert else "http"
    for address in addresses:
        log.info("serving %s://%s", scheme, _text(address))

    def work(number: int) -> None:
        metrics.attach(number)
        keys = _after_fork(options, master, previous)
        _run(options, keys[0], keys[1], sockets[number], limiter, metrics)

    # All that is there by now stays: nobody need look for garbage in it, nor copy it in a worker.
    gc.collect()
    gc.freeze()
    return supervise(options.workers, work, options.grace_s + 5)


def _after_fork(
    options: ServeOptions, master: MasterKey, previous: tuple[MasterKey, ...]
) -> tuple[MasterKey, tuple[MasterKey, ...]]:
    """Keys of Vault anew: two processes must not share a connection."""
    specs = (options.master_key, *options.previous)
    keys = [
        open_master_key(spec) if spec.startswith("vault:") else key
        for spec, key in zip(specs, (master, *previous), strict=True)
    ]
    return keys[0], tuple(keys[1:])


def _run(
    options: ServeOptions,
    master: MasterKey,
    previous: tuple[MasterKey, ...],
    sockets: list[socket.socket],
    limiter: Limiter,
    metrics: Metrics,
) -> None:
    store = Store.open(options.database, master, False, previous)

    def machine_wait(fingerprint: str) -> float:
        return limiter.take("machine", fingerprint, options.web.machine)

    web = Web(
        store,
        Service(store, options.service, machine_wait),
        Accounts(store.database, store.keys, options.operators),
        options.web,
        limiter,
        metrics,
        provider=Provider(options.people) if options.people else None,
        operator_provider=_operator_provider(options),
    )
    config = uvicorn.Config(
        Application(web),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=quotas.KEEP_ALIVE_S,
        timeout_graceful_shutdown=options.grace_s,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    LimitedServer(config, Gate(options.web.proxies)).run(sockets=sockets)


def _operator_provider(options: ServeOptions) -> Provider | None:
    if options.people is None or options.operators is None or not options.operators.groups:
        return None
    return Provider(replace(options.people, callback=CALLBACK))


def parse_address(text: str) -> tuple[str, int]:
    """Host, without the brackets of IPv6, and port."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"{text}: not HOST:PORT")
    return host, int(port)


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_tls(options: ServeOptions, addresses: list[tuple[str, int]]) -> None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together")
    if options.tls_cert or options.insecure_plain:
        return
    for address in addresses:
        if not _is_loopback(address[0]):
            raise UsageError(
                f"{_text(address)}: without --tls-cert and --tls-key the server listens on "
                "loopback only (behind a TLS proxy of another host: --insecure-plain)"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family, kind, protocol, _name, resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        bound.bind(resolved)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, _text(address)) from None
    bound.listen(_BACKLOG)
    bound.setblocking(False)
    return bound


def _raise_open_files() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
