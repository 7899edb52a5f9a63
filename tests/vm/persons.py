# SPDX-License-Identifier: Apache-2.0
"""Persons beside a machine: what they scan from its screen, and their phones at the server."""

from __future__ import annotations

import re
import ssl
import urllib.error
from http.client import HTTPMessage
from pathlib import Path
from urllib.parse import urlencode, urljoin
from urllib.request import (
    HTTPCookieProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
)

import zxingcpp

from pykexec.demo.attest_keys import Tls
from pykexec.server.people.settings import PeopleSettings
from pykexec.vm.vm import Vm
from tests.support import oidc_provider
from tests.vm.screen import PIXEL, read_picture

_STEPS_MAX = 8


def scan(vm: Vm) -> str:
    """What the one QR code on the machine's screen says."""
    file = vm.directory / "code.ppm"
    vm.qmp("screendump", filename=str(file.absolute()))
    width, height, pixels = read_picture(file.read_bytes())
    # One colour is enough of what is black and white.
    picture = memoryview(pixels[::PIXEL]).cast("B", (height, width))
    (found,) = zxingcpp.read_barcodes(picture)
    return str(found.text)


def write_settings(directory: Path, settings: PeopleSettings) -> Path:
    """A file for `pykexec serve --people`."""
    (directory / "client-secret").write_text(settings.client_secret)
    file = directory / "people.toml"
    scopes = ", ".join(f'"{scope}"' for scope in settings.scopes)
    file.write_text(
        f'address = "{settings.address}"\nissuer = "{settings.issuer}"\n'
        f'client_id = "{settings.client_id}"\nclient_secret_file = "client-secret"\n'
        f"scopes = [{scopes}]\n"
    )
    return file


class _Stays(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: object, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Where it leads is looked at by hand."""


class Phone:
    """Somebody's, who has an account at the provider."""

    def __init__(self, tls: Tls, settings: PeopleSettings, login: str) -> None:
        context = ssl.create_default_context(cadata=tls.authority)
        self._opener = build_opener(HTTPSHandler(context=context), HTTPCookieProcessor(), _Stays())
        self._settings, self._login = settings, login
        self.address = self.text = ""

    def go(self, address: str, **fields: str) -> str:
        """Open a page, or send its form; log in at the provider when it asks. What it says."""
        self.address, body = urljoin(self.address, address), urlencode(fields).encode() or None
        for _ in range(_STEPS_MAX):
            try:
                with self._opener.open(self.address, body, timeout=20) as answer:
                    self.text = answer.read().decode()
                    return self.text
            except urllib.error.HTTPError as error:
                assert error.code in (302, 303), (error.code, error.read().decode())
                leads = error.headers["location"]
            if leads.startswith(self._settings.issuer):
                leads = oidc_provider.log_in(self._settings, leads, self._login)
            self.address, body = urljoin(self.address, leads), None
        raise AssertionError("the server leads on and on")

    @property
    def csrf(self) -> str:
        """The token of the page's forms."""
        found = re.search(r'name="csrf" value="(\w+)"', self.text)
        assert found, self.text
        return found[1]

    def decide(self, code: str) -> str:
        """From a page that says nothing yet: log in, and approve. What it says then."""
        page = self.address
        self.go(f"{page}/login")
        return self.go(page, csrf=self.csrf, code=code, decision="approve", reason="cable cut")
