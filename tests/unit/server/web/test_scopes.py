# SPDX-License-Identifier: Apache-2.0
"""Scopes: whoever has one sees and does nothing of others' machines, by whatever route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.routing import Route

from pykexec.attest.fields import base64url
from pykexec.server.errors import NotFound
from pykexec.server.roles import Grant, Reach, covers, includes, make_scope, strongest
from pykexec.server.store import within as scoped
from pykexec.server.store.records import Machine, Settings
from pykexec.server.store.store import Store
from pykexec.server.store.within import OutOfScope, within
from pykexec.server.web.admin.routes import OPERATIONS
from pykexec.server.web.problems import Problem
from pykexec.server.web.reach import Caller, admit, declared, reach_declared
from tests.support import attest_machine
from tests.support.server_world import ACTOR, KEY, PASSWORD, World, world

NORTH = ("site=north",)
SESSION = "__Host-pykexec"


@dataclass
class Tenants:
    """A server with a machine of each of two sites, one of none, and admins of the north."""

    server: World
    north: Machine
    south: Machine
    nobody: Machine
    token: str
    session: str

    @property
    def foreign(self) -> tuple[str, ...]:
        """What no answer to the north may hold."""
        return (self.south.fingerprint, "south-1", self.nobody.fingerprint, "nobodys")


def _machine(server: World, name: str, tags: dict[str, str]) -> Machine:
    simulated = attest_machine.Machine(name)
    server.attest(simulated)
    number = server.known(simulated).id
    server.store.put_secret(number, "root", "luks-key", {"file": "k"}, KEY, ACTOR)
    server.store.set_name(number, name, ACTOR)
    return server.store.set_tags(number, tags, ACTOR)


@pytest.fixture(name="tenants", scope="module")
def tenants_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    with world(tmp_path_factory.mktemp("tenants")) as server:
        kept = Settings(default_policy="any", first_use=True, keep_evidence="always")
        server.store.set_settings(kept, ACTOR)
        north = _machine(server, "north-1", {"site": "north", "rack": "7"})
        south = _machine(server, "south-1", {"site": "south", "rack": "7", "was": "site=north"})
        # The same but for its case, and beside it what only looks like the tag.
        tags = {"site": "North", "Site": "north", "note": '"site":"north"'}
        nobody = _machine(server, "nobodys", tags)
        _, token = server.store.create_token("north", "admin", ACTOR, None, NORTH)
        server.web.accounts.create("nora", "admin", PASSWORD, ACTOR, NORTH)
        session = server.web.logins.login("nora", PASSWORD, "192.0.2.7", None)
        assert session
        yield Tenants(server, north, south, nobody, token, session)


def test_a_scope_is_a_set_of_tags_of_which_one_suffices() -> None:
    scope = make_scope(["site=north", "rack=7", "site=north"])
    assert scope == ("rack=7", "site=north")
    assert covers(scope, {"site": "south", "rack": "7"})
    assert not covers(scope, {"site": "North", "rack": "8"})
    assert covers((), {})


@pytest.mark.parametrize(
    ("scope", "other", "yes"),
    [
        ((), ("a=b",), True),
        ((), (), True),
        (("a=b", "c=d"), ("a=b",), True),
        (("a=b",), ("a=b", "c=d"), False),
        (("a=b",), (), False),
    ],
)
def test_a_scope_has_all_of_another(
    scope: tuple[str, ...], other: tuple[str, ...], yes: bool
) -> None:
    assert includes(scope, other) is yes


def test_of_several_grants_the_highest_role_counts_with_its_own_scopes() -> None:
    grants = [Grant("viewer"), Grant("operator", ("a=b",)), Grant("operator", ("c=d",))]
    assert strongest(grants) == Grant("operator", ("a=b", "c=d"))
    assert strongest([*grants, Grant("operator")]) == Grant("operator")
    assert strongest([]) is None


def target(route: Route, machine: Machine) -> str:
    """A path of the route, about that machine where it is about any."""
    path = route.path.replace("{machine}", machine.fingerprint).replace("{attestation}", "2")
    return re.sub("{[^}]*}", "any", path).replace("/machines/any", "/machines/x")


def test_every_route_has_said_how_far_it_reaches(tenants: Tenants) -> None:
    routes = tenants.server.application.routes
    assert len(routes) > len(OPERATIONS) + 30
    found = {(route.path, reach_declared(route)) for route in routes}
    public = {path for path, reach in found if reach is Reach.PUBLIC}
    assert public == {
        "/", "/healthz", "/readyz", "/openapi.json", "/static/{name}",
        "/login", "/login/key", "/login/provider", "/login/callback",
    }  # fmt: skip
    persons = {path for path, reach in found if reach is Reach.PERSON}
    assert persons and all(
        path.lower().startswith(("/approve", "/break-glass")) for path in persons
    )
    machines = {path for path, reach in found if reach is Reach.MACHINE}
    assert machines and all(path.startswith("/escrow/v1/") for path in machines)
    own = {path for path, reach in found if reach is Reach.OWN}
    assert all(path.startswith(("/account", "/logout")) for path in own)


def test_a_route_that_has_not_said_it_is_not_served() -> None:
    async def endpoint(request: object) -> None:
        pass

    with pytest.raises(RuntimeError, match="nobody has declared how far it reaches"):
        declared([Route("/x", endpoint)])


def routes_of(tenants: Tenants, *reaches: Reach) -> list[tuple[str, Route]]:
    """With each method."""
    return [
        (method, route)
        for route in tenants.server.application.routes
        if reach_declared(route) in reaches
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def test_what_is_the_whole_servers_is_refused_by_every_route(tenants: Tenants) -> None:
    client = tenants.server.client
    before = tenants.server.store.verify_audit()
    asked = 0
    for method, route in routes_of(tenants, Reach.WHOLE):
        client.cookies = {SESSION: tenants.session}
        form = {"content-type": "application/x-www-form-urlencoded"}
        page = client.get("/account")
        body = f"csrf={page.csrf}".encode() if method == "POST" else b""
        api = route.path.startswith(("/admin/", "/metrics"))
        answer = client.request(
            method,
            target(route, tenants.north),
            b"{}" if api else body,
            {} if api else form,
            tenants.token if api else None,
        )
        assert (answer.status, route.path) == (403, route.path)
        assert "whole server" in answer.text
        asked += 1
    assert asked > 15
    assert tenants.server.store.verify_audit() == before


def test_no_route_tells_anything_of_others_machines(tenants: Tenants) -> None:
    client = tenants.server.client
    told = 0
    for method, route in routes_of(tenants, Reach.SCOPED, Reach.OWN):
        if method != "GET":
            continue
        client.cookies = {SESSION: tenants.session}
        token = tenants.token if route.path.startswith("/admin/") else None
        for query in ("", "?search=south", "?policy=any", "?tag=rack%3D7", "?limit=1000"):
            for machine in (tenants.north, tenants.south):
                answer = client.get(target(route, machine) + query, token)
                # Of an attestation that is not there, of a parameter that there is none of.
                assert answer.status in (200, 400, 404), (route.path, answer.text)
                text = answer.text
                shown = text.replace(f"/machines/{machine.fingerprint}", "")
                assert not [word for word in tenants.foreign if word in shown], route.path
                told += tenants.north.fingerprint in text
    assert told > 10


def test_whatever_is_done_to_others_machines_is_not_found(tenants: Tenants) -> None:
    client, store = tenants.server.client, tenants.server.store
    before = store.verify_audit()
    for machine in (tenants.south, tenants.nobody):
        for method, route in routes_of(tenants, Reach.SCOPED):
            if "{machine}" not in route.path:
                continue
            client.cookies = {SESSION: tenants.session}
            api = route.path.startswith("/admin/")
            csrf = client.get("/account").csrf
            if api:
                answer = client.request(method, target(route, machine), b"{}", token=tenants.token)
            elif method == "POST":
                path = target(route, machine).replace("/any", "/refuse")
                answer = client.send_form(path, csrf=csrf)
            else:
                answer = client.get(target(route, machine).replace("/any", "/refuse"))
            assert (answer.status, route.path) == (404, route.path)
    assert store.verify_audit() == before


def test_what_a_machine_of_others_has_attested_is_not_found(tenants: Tenants) -> None:
    store = tenants.server.store
    (south, *_) = store.attestations(machine_id=tenants.south.id)
    (north, *_) = store.attestations(machine_id=tenants.north.id)
    get = tenants.server.client.get
    assert get(f"/admin/v1/attestations/{north.id}", tenants.token).status == 200
    for path in (
        f"/admin/v1/attestations/{south.id}",
        f"/admin/v1/attestations/{south.id}/evidence",
    ):
        assert get(path, tenants.token).status == 404


def test_lists_counts_and_the_trail_are_of_ones_own(tenants: Tenants) -> None:
    get = tenants.server.client.get
    listed = get("/admin/v1/machines", tenants.token).json
    assert listed["total"] == 1
    assert get("/admin/v1/status", tenants.token).json["machines"] == {
        "pending": 0, "enrolled": 1, "refused": 0, "retired": 0,
    }  # fmt: skip
    entries = get("/admin/v1/audit?limit=1000", tenants.token).json["entries"]
    assert isinstance(entries, list) and entries
    assert {entry["subject"] for entry in entries} == {f"machine:{tenants.north.fingerprint}"}


def test_ones_own_machine_is_worked_with(tenants: Tenants) -> None:
    server, path = tenants.server, f"/admin/v1/machines/{tenants.north.fingerprint}"
    send = server.client.send_json
    assert send("PUT", f"{path}/name", {"name": "north-2"}, tenants.token).status == 200
    body = {"kind": "luks-key", "value": "AAAA", "parameters": {"file": "more"}}
    assert send("PUT", f"{path}/secrets/more", body, tenants.token).status == 200
    server.client.cookies = {SESSION: tenants.session}
    page = server.client.get(f"/machines/{tenants.north.fingerprint}")
    assert page.status == 200 and "north-2" in page.text
    send("PUT", f"{path}/name", {"name": "north-1"}, tenants.token)


@pytest.mark.parametrize(
    "tags", [{}, {"site": "south"}, {"rack": "7"}, {"site": "North"}, {"Site": "north"}]
)
def test_who_is_told_by_tags_what_is_his_does_not_change_those(
    tenants: Tenants, tags: dict[str, str]
) -> None:
    path = f"/admin/v1/machines/{tenants.north.fingerprint}/tags"
    answer = tenants.server.client.send_json("PUT", path, {"tags": tags}, tenants.token)
    assert answer.status == 403
    assert tenants.server.store.machine_by_id(tenants.north.id).tags["site"] == "north"


def test_of_two_scopes_neither_tag_is_changed(tenants: Tenants) -> None:
    store = within(tenants.server.store, ("rack=7", "site=north"))
    with pytest.raises(OutOfScope, match="whose a machine is"):
        store.set_tags(tenants.north.id, {"site": "north"}, ACTOR)
    with pytest.raises(OutOfScope, match="whose a machine is"):
        store.set_tags(tenants.south.id, {"site": "north", "rack": "7"}, ACTOR)


def test_other_tags_are_free(tenants: Tenants) -> None:
    path = f"/admin/v1/machines/{tenants.north.fingerprint}/tags"
    tags = {"site": "north", "rack": "8"}
    answer = tenants.server.client.send_json("PUT", path, {"tags": tags}, tenants.token)
    assert answer.status == 200


def test_a_machine_is_added_to_ones_own_alone(tenants: Tenants) -> None:
    public = base64url(attest_machine.Machine("new").identity.ek_public)
    send = tenants.server.client.send_json
    body: dict[str, object] = {"ek_public": public, "name": "north-3"}
    assert send("POST", "/admin/v1/machines", body, tenants.token).status == 403
    body |= {"tags": {"site": "north"}}
    assert send("POST", "/admin/v1/machines", body, tenants.token).status == 201


def test_admission_looks_at_the_machine_before_any_handler(tenants: Tenants) -> None:
    caller = Caller("token:north", Grant("admin", NORTH))
    with pytest.raises(Problem, match="no such machine"):
        path = {"machine": tenants.south.fingerprint}
        admit(tenants.server.web, caller, "viewer", Reach.SCOPED, path)
    with pytest.raises(Problem, match="whole server"):
        admit(tenants.server.web, caller, "viewer", Reach.WHOLE, {})
    with pytest.raises(Problem, match="your role is viewer, this needs admin"):
        admit(tenants.server.web, Caller("x", Grant("viewer")), "admin", Reach.SCOPED, {})
    seen = admit(tenants.server.web, caller, "viewer", Reach.SCOPED, {})
    assert seen.store.machine(tenants.south.fingerprint) is None
    assert tenants.server.web.store.machine(tenants.south.fingerprint) is not None


ASKED = {
    "machine", "machine_by_id", "machines", "machine_counts", "add_machine", "set_tags",
    "attestations", "attestation", "evidence", "audit_entries",
}  # fmt: skip
"""What the scope itself decides."""
REFUSED = sorted(
    name
    for name in dir(Store)
    if not name.startswith("_")
    and name not in scoped.OF_ALL | scoped.OF_A_MACHINE | ASKED | {"open"}
)


@pytest.mark.parametrize("name", [*REFUSED, "database", "keys", "_keyring", "a_new_method"])
def test_what_the_store_has_besides_is_not_there(tenants: Tenants, name: str) -> None:
    with pytest.raises(OutOfScope, match="this needs the whole server"):
        getattr(within(tenants.server.store, NORTH), name)


def test_much_of_the_store_is_for_the_whole_server_alone() -> None:
    assert {"open_secrets", "create_token", "export_audit", "put_policy", "rewrap"} <= set(REFUSED)


@pytest.mark.parametrize("name", sorted(scoped.OF_A_MACHINE))
def test_what_is_done_to_a_machine_asks_whose_it_is(tenants: Tenants, name: str) -> None:
    method = getattr(within(tenants.server.store, NORTH), name)
    before = tenants.server.store.verify_audit()
    with pytest.raises(NotFound, match="there is no machine"):
        method(tenants.south.id)
    assert tenants.server.store.verify_audit() == before


def test_attestations_of_all_are_for_the_whole_server(tenants: Tenants) -> None:
    store = within(tenants.server.store, NORTH)
    with pytest.raises(OutOfScope):
        store.attestations()
    with pytest.raises(NotFound):
        store.attestations(machine_id=tenants.south.id)


def test_without_a_scope_it_is_the_store_itself(tenants: Tenants) -> None:
    assert within(tenants.server.store, ()) is tenants.server.store
