# SPDX-License-Identifier: Apache-2.0
"""A real OpenID Connect provider (npm's oidc-provider, as locked), and a browser that logs in."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPMessage
from pathlib import Path
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

from pykexec.run import run
from pykexec.server.people.settings import PeopleSettings
from pykexec.vm.packages import cache_dir

_HERE = Path(__file__).with_name("provider")
_LOCKED = ("package.json", "package-lock.json")
_FETCH_S = 300.0
_STEPS_MAX = 12

ADDRESS = "https://keys.example"
CLIENT_ID, CLIENT_SECRET = "pykexec", "a secret & of 100% this+client"
ACCOUNTS: Mapping[str, list[str] | None] = {
    "anna": ["key-holders"],
    "bob": ["key-holders", "security"],
    "carl": ["cooks"],
    "dora": None,
}
"""Groups by login; of dora the provider says nothing."""


def fetch() -> Path:
    """The library's entry, downloaded once and checked by the lock file's digests."""
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _LOCKED))
    root = cache_dir() / "npm"
    root.mkdir(parents=True, exist_ok=True)
    place = root / f"provider-{digest.hexdigest()[:16]}"
    with open(root / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=root) as name:
                made = Path(name) / "made"
                made.mkdir()
                for file in _LOCKED:
                    shutil.copy(_HERE / file, made)
                command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                run(command, cwd=made, timeout_s=_FETCH_S)
                made.rename(place)
    return place / "node_modules/oidc-provider/lib/index.js"


@dataclass
class RunningProvider:
    """One that answers; stop() ends it before its time."""

    settings: PeopleSettings
    process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """It is down."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait(10)


@contextmanager
def running(offset_s: int = 0, address: str = ADDRESS) -> Generator[RunningProvider, None, None]:
    """Start it, for our server at address, with a clock that is wrong by so much."""
    settings = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{address}/approve/callback", f"{address}/login/callback"],
        "offset_s": offset_s,
        "accounts": ACCOUNTS,
    }
    command: list[str | Path] = ["node", _HERE / "provider.mjs", fetch(), json.dumps(settings)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        try:
            found = None
            for line in process.stdout:
                if found := re.fullmatch(r"port (\d+)", line.decode().strip()):
                    break
            assert found, "the provider has ended"
            people = PeopleSettings(
                address=address,
                issuer=f"http://127.0.0.1:{found[1]}",
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                scopes=("profile", "groups"),
            )
            yield RunningProvider(people, process)
        finally:
            process.stdin.close()
            process.wait(10)


class _Stays(HTTPRedirectHandler):
    """Follows within the provider; where it leads elsewhere, that is the end."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.left = ""

    def redirect_request(
        self, req: Request, fp: object, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if not newurl.startswith(self.issuer):
            self.left = newurl
            return None
        return urllib.request.Request(newurl)


def log_in(settings: PeopleSettings, address: str, login: str) -> str:
    """Be a browser at the provider: log in there, consent; the address that it leads to then."""
    stays = _Stays(settings.issuer)
    opener = build_opener(HTTPCookieProcessor(), stays)
    body = None
    for _ in range(_STEPS_MAX):
        try:
            with opener.open(address, body, timeout=20) as answer:
                page, here = answer.read().decode(), answer.url
        except urllib.error.HTTPError:
            if stays.left:
                return stays.left
            raise
        action = re.search(r'<form[^>]*action="([^"]*)"', page)
        assert action, page
        fields = dict(re.findall(r'name="(\w+)" value="(\w*)"', page))
        fields |= {"login": login, "password": "any"} if fields.get("prompt") == "login" else {}
        address, body = urljoin(here, action[1]), urlencode(fields).encode()
    raise AssertionError("the provider asks on and on")
