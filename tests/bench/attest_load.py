# SPDX-License-Identifier: Apache-2.0
"""One process full of simulated machines that attest over HTTP; its report is a line of JSON.

Each machine has a loopback address of its own, opens a connection for each attestation and sends
both requests on it, as a booting machine does. The machines exist before the clock starts: the
process says "ready" and waits for a line.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import threading
import time
from dataclasses import dataclass, field

from pykexec.attest import decode, protocol
from tests.support.attest_machine import Boot, Machine

TIMEOUT_S = 60


def machine_name(number: int) -> str:
    """Of the simulated machine of that number, everywhere in the benchmark."""
    return f"bench-{number}"


def address(number: int) -> str:
    """Its own, of the loopback network."""
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def simulated(number: int) -> Machine:
    """Its log is its own, as each machine's is: what a server knows by it was told by itself."""
    return Machine(machine_name(number), boot=Boot(firmware=f"2025.02-{number}"))


@dataclass(slots=True)
class Tally:
    """What became of the attestations; latencies are of both round trips, in milliseconds."""

    latencies_ms: list[float] = field(default_factory=list)
    released: int = 0
    errors: list[str] = field(default_factory=list)


class Connection:
    """The least that speaks HTTP/1.1: the generator shall not be what is measured."""

    def __init__(self, port: int, source: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S, (source, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: server\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        answer_head, _, answer = data.partition(b"\r\n\r\n")
        lines = answer_head.lower().split(b"\r\n")
        size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(answer) < size:
            answer += self._more()
        return int(lines[0].split()[1]), answer

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def attest(machine: Machine, port: int, source: str, tally: Tally) -> None:
    """One complete attestation: it counts when something was released."""
    start = time.perf_counter()
    connection = Connection(port, source)
    try:
        status, data = connection.post(
            protocol.CHALLENGES_PATH, machine.challenge_request().encode()
        )
        if status != 200:
            raise ValueError(f"challenge: {status} {data[:200]!r}")
        challenge = decode.parse_challenge(data)
        request = machine.attest_request(challenge)
        status, data = connection.post(protocol.ATTESTATIONS_PATH, request.encode())
        tally.latencies_ms.append((time.perf_counter() - start) * 1000)
        if status != 200:
            raise ValueError(f"attestation: {status} {data[:400]!r}")
        reply = decode.parse_attest_reply(data)
        # The first of a run is opened; more would only take time that the server could have.
        if reply.release is None or (
            not tally.released and not machine.open_release(challenge, reply)
        ):
            raise ValueError("nothing was released")
        tally.released += 1
    finally:
        connection.close()
        machine.reboot()


def closed_loop(
    machines: dict[int, Machine], port: int, threads: int, seconds: float
) -> list[Tally]:
    """Each thread attests with its machines in turn, as fast as the server answers."""
    numbers = sorted(machines)
    tallies = [Tally() for _ in range(threads)]
    end = time.monotonic() + seconds

    def run(which: int) -> None:
        mine = numbers[which::threads]
        turn = 0
        while time.monotonic() < end:
            number = mine[turn % len(mine)]
            _attempt(machines[number], port, number, tallies[which])
            turn += 1

    _run_all(run, threads)
    return tallies


def storm(machines: dict[int, Machine], port: int, window_s: float, seed: int) -> list[Tally]:
    """Every machine once, each in a thread of its own, at a random time within the window."""
    generator = random.Random(seed)
    starts = {number: generator.uniform(0, window_s) for number in machines}
    tallies = {number: Tally() for number in machines}
    begin = time.monotonic()

    def run(number: int) -> None:
        time.sleep(max(0, begin + starts[number] - time.monotonic()))
        _attempt(machines[number], port, number, tallies[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(tallies.values())


def _attempt(machine: Machine, port: int, number: int, tally: Tally) -> None:
    try:
        attest(machine, port, address(number), tally)
    except (OSError, ValueError) as error:
        tally.errors.append(f"{type(error).__name__}: {error}"[:500])


def _run_all(run: object, threads: int) -> None:
    assert callable(run)
    started = [threading.Thread(target=run, args=(which,)) for which in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def main() -> None:
    """Make the machines, wait for the word, attest, report."""
    parser = argparse.ArgumentParser(prog="tests.bench.attest_load", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first", type=int, required=True, help="number of the first machine")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, required=True, help="of the loop or the storm")
    parser.add_argument("--storm", action="store_true")
    parser.add_argument("--boot", type=int, default=1, help="resetCount to begin with")
    args = parser.parse_args()
    threading.stack_size(256 << 10)
    numbers = range(args.first, args.first + args.count)
    machines = {number: simulated(number) for number in numbers}
    for machine in machines.values():
        machine.reset_count = args.boot
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, begin = time.process_time(), time.monotonic()
    if args.storm:
        tallies = storm(machines, args.port, args.seconds, args.first)
    else:
        tallies = closed_loop(machines, args.port, args.threads, args.seconds)
    report = {
        "seconds": time.monotonic() - begin,
        "cpu_s": time.process_time() - cpu,
        "released": sum(tally.released for tally in tallies),
        "latencies_ms": [latency for tally in tallies for latency in tally.latencies_ms],
        "errors": [error for tally in tallies for error in tally.errors],
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
