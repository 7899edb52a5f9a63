# SPDX-License-Identifier: Apache-2.0
"""The provider at which persons log in, by OpenID Connect's authorization code flow.

With PKCE (RFC 7636), pushed requests where they are offered (RFC 9126) and the issuer in the answer
where that is announced (RFC 9207). What it says of itself, and its keys, are asked for when they
are needed, and kept for minutes.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote_plus, urlencode

import urllib3
from urllib3.exceptions import HTTPError

from pykexec.attest.fields import ProtocolError, base64url, parse_object
from pykexec.errors import PykexecError
from pykexec.server.people.id_token import (
    TOKEN_MAX,
    LoginRefused,
    Person,
    UnknownKey,
    Wanted,
    check_token,
)
from pykexec.server.people.settings import PeopleSettings, address_fault

_ANSWER_MAX = 256 << 10  # bytes
_WAIT_S = 5.0
_KEPT_S = 300.0
_AGAIN_S = 10.0
_WORDS_MAX = 200


class ProviderDown(PykexecError):
    """The provider does not answer, or not as it should; another time it may."""


@dataclass(frozen=True, slots=True)
class Login:
    """One that was begun: what comes back must fit to it. It is for the person's browser alone."""

    state: str
    verifier: str

    @classmethod
    def new(cls) -> Login:
        """One that nobody can guess."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(48))


class Provider:
    """One provider, for all persons; safe in any thread. Every call may wait for it."""

    def __init__(self, settings: PeopleSettings) -> None:
        self.settings = settings
        authorities = settings.authorities
        self._pool = urllib3.PoolManager(
            retries=False,
            timeout=urllib3.Timeout(connect=_WAIT_S, read=_WAIT_S),
            ca_certs=None if authorities is None else str(authorities),
        )
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Mapping[str, object]]] = {}

    def begin(self, login: Login, wanted: Wanted) -> str:
        """The address at which the person logs in; ProviderDown."""
        metadata = self._metadata()
        challenge = base64url(hashlib.sha256(login.verifier.encode()).digest())
        request = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(["openid", *self.settings.scopes]),
            "state": login.state,
            "nonce": wanted.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if wanted.max_age_s:
            request["max_age"] = str(wanted.max_age_s)
        if wanted.acr:
            request["acr_values"] = " ".join(wanted.acr)
        if "pushed_authorization_request_endpoint" in metadata:
            where = _endpoint(metadata, "pushed_authorization_request_endpoint")
            pushed = self._post(where, request, metadata)
            uri = pushed.get("request_uri")
            if not isinstance(uri, str):
                raise ProviderDown("the login service takes no request")
            request = {"client_id": self.settings.client_id, "request_uri": uri}
        address = _endpoint(metadata, "authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(request)}"

    def finish(
        self, login: Login, answer: Mapping[str, str], wanted: Wanted, now: datetime
    ) -> Person:
        """Who has logged in, by the query that the browser brought; LoginRefused, ProviderDown."""
        if not secrets.compare_digest(answer.get("state", "").encode(), login.state.encode()):
            raise LoginRefused("this is the answer to another login: begin anew")
        metadata = self._metadata()
        announced = metadata.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if announced else self.settings.issuer) != self.settings.issuer:
            raise LoginRefused("the answer is of another login service")
        if "error" in answer:
            words = answer.get("error_description") or answer["error"]
            raise LoginRefused(f"the login service refuses: {words[:_WORDS_MAX]}")
        token = self._token(answer.get("code", ""), login, metadata)
        try:
            return check_token(token, self._key_set(metadata), wanted, now)
        except UnknownKey:
            # It may have a new key since.
            return check_token(token, self._key_set(metadata, _AGAIN_S), wanted, now)

    def reach(self) -> None:
        """Whether somebody could log in now, as far as nobody does; ProviderDown."""
        metadata = self._metadata()
        _endpoint(metadata, "authorization_endpoint")
        if not self._key_set(metadata, _AGAIN_S).get("keys"):
            raise ProviderDown("the login service announces no keys")

    def _token(self, code: str, login: Login, metadata: Mapping[str, object]) -> str:
        request = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": login.verifier,
        }
        answer = self._post(_endpoint(metadata, "token_endpoint"), request, metadata)
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > TOKEN_MAX:
            raise LoginRefused("the login service gives no ID token")
        return token

    def _metadata(self) -> Mapping[str, object]:
        issuer = self.settings.issuer
        found = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", _KEPT_S)
        if found.get("issuer") != issuer:
            raise ProviderDown("the login service says that it is another one (issuer)")
        return found

    def _key_set(
        self, metadata: Mapping[str, object], kept_s: float = _KEPT_S
    ) -> Mapping[str, object]:
        return self._get(_endpoint(metadata, "jwks_uri"), kept_s)

    def _get(self, address: str, kept_s: float) -> Mapping[str, object]:
        with self._lock:
            since, known = self._kept.get(address, (float("-inf"), {}))
        if time.monotonic() - since < kept_s:
            return known
        found = self._ask("GET", address, None, {})
        with self._lock:
            self._kept[address] = (time.monotonic(), found)
        return found

    def _post(
        self, address: str, request: Mapping[str, str], metadata: Mapping[str, object]
    ) -> Mapping[str, object]:
        """As the client that we are (OpenID Connect Core, 9)."""
        secret, headers, fields = self.settings.client_secret, {}, dict(request)
        if secret:
            known = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if isinstance(known, list) and "client_secret_basic" in known:
                # Each is a form's value first (RFC 6749, 2.3.1).
                pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            else:
                fields["client_secret"] = secret
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self._ask("POST", address, urlencode(fields).encode(), headers)

    def _ask(
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Mapping[str, object]:
        end = time.monotonic() + 2 * _WAIT_S
        try:
            response = self._pool.request(
                method,
                address,
                body=body,
                headers={"Accept": "application/json", **headers},
                redirect=False,
                preload_content=False,
            )
            with response:
                data = b""
                while part := response.read1(_ANSWER_MAX):
                    data += part
                    if len(data) > _ANSWER_MAX or time.monotonic() > end:
                        raise ProviderDown("the login service's answer is too long or too slow")
                return _object(response.status, data)
        except HTTPError as error:
            raise ProviderDown(f"the login service does not answer: {_words(error)}") from None


def _object(status: int, data: bytes) -> Mapping[str, object]:
    try:
        found = parse_object(data, "login service", _ANSWER_MAX).rest()
    except ProtocolError as error:
        if status >= 500 or status == 429:
            raise ProviderDown(f"the login service is out of order ({status})") from None
        raise ProviderDown(f"the login service answers {status}: {error}") from None
    if status in (200, 201):
        return found
    if 400 <= status < 500 and status != 429 and "error" in found:
        words = found.get("error_description") or found["error"]
        raise LoginRefused(f"the login service refuses: {str(words)[:_WORDS_MAX]}")
    raise ProviderDown(f"the login service is out of order ({status})")


def _endpoint(metadata: Mapping[str, object], name: str) -> str:
    address = metadata.get(name)
    if not isinstance(address, str) or address_fault(address.partition("?")[0]):
        raise ProviderDown(f"the login service has no good address for {name}")
    return address


def _words(error: HTTPError) -> str:
    return (str(error) or type(error).__name__)[:_WORDS_MAX]
