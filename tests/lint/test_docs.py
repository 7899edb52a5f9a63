# SPDX-License-Identifier: Apache-2.0
"""The site builds without a warning, whole, and nothing in it comes from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pykexec.config.agent import parse_config
from tests.lint.tree import ROOT, relative, tracked
from tests.support.shared import once

DOCS = ROOT / "docs"
PAGES = [path for path in tracked(".md") if path.is_relative_to(DOCS)]
README_LINES_MAX = 150
FOREIGN = re.compile(r"(?:https?:)?//", re.IGNORECASE)
# What a browser fetches by itself; a link that a person follows is none of it.
FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "link": "href",
    "object": "data",
}


def built(source: Path, target: Path) -> str:
    """What Sphinx says of a source directory, with the site's settings; "" if it has no fault."""
    words = [sys.executable, "-m", "sphinx", "--quiet", "--fresh-env", "--fail-on-warning"]
    done = subprocess.run(
        [*words, "-c", DOCS, "-d", target / "doctrees", source, target / "html"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert (done.returncode == 0) == (not done.stderr), done.stderr
    return done.stderr


@pytest.fixture(scope="module", name="site")
def site_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site's directory."""

    def make(target: Path) -> None:
        assert built(DOCS, target) == ""

    return once(tmp_path_factory, "site", make) / "html"


def test_every_page_is_built_and_can_be_found(site: Path) -> None:
    names = [path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES]
    assert [name for name in names if not (site / f"{name}.html").is_file()] == []
    index = (site / "searchindex.js").read_text()
    assert [name for name in names if f'"{name}"' not in index] == []


def test_search_reads_its_index_without_a_server(site: Path) -> None:
    assert '<script src="searchindex.js"' in (site / "search.html").read_text()


class Fetches(HTMLParser):
    """Collects the addresses that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One tag."""
        values = dict(attrs)
        self.found.append(values.get(FETCHED.get(tag, "")) or "")


def fetched(file: Path) -> Iterator[str]:
    """Addresses in a page or a style sheet that are not the site's own."""
    text = file.read_text(errors="replace")
    if file.suffix == ".css":
        addresses = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", text)
    else:
        parser = Fetches()
        parser.feed(text)
        addresses = parser.found
    yield from filter(FOREIGN.match, addresses)


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > len(PAGES)
    assert {path.name: found for path in files if (found := list(fetched(path)))} == {}


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "//fonts.example/a.css"),
    ],
)
def test_a_script_or_font_from_elsewhere_is_found(page: str, address: str, tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text(page)
    assert list(fetched(file)) == [address]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[away](nowhere.md)",
            "index.md:3: WARNING: 'myst' cross-reference target not found",
        ),
        ("[down](#deep)", "index.md:3: WARNING: 'myst' cross-reference target not found: 'deep'"),
        ("{py:obj}`pykexec.Nonsense`", "index.md:3: WARNING: py:obj reference target not found"),
        ("![x](none.png)", "index.md:3: WARNING: image file not readable: none.png"),
        ("<!-- generated: weather -->", "<!-- generated: weather -->: nothing generates that"),
    ],
)
def test_what_leads_nowhere_is_named(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text(f"# Title\n\n{text}\n")
    assert fault in built(tmp_path, tmp_path / "built")


def test_a_page_that_no_other_leads_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# Title\n")
    (tmp_path / "lost.md").write_text("# Lost\n")
    assert "lost.md: WARNING: document isn't included" in built(tmp_path, tmp_path / "built")


def examples(page: str) -> list[str]:
    """A page's TOML; digests that it leaves out are made up."""
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    return [block.replace('"..."', f'"{"5a" * 32}"') for block in blocks]


@pytest.mark.parametrize("text", examples("agent-toml.md"))
def test_an_example_of_agent_toml_is_one(text: str) -> None:
    assert parse_config(text.encode(), "page").payload


def test_the_example_of_a_menu_is_one() -> None:
    """Its list of authorities is in the initramfs of who has one."""
    (text,) = examples("menu.md")
    menu = parse_config(text.replace("/etc/pykexec/ca.pem", "").encode(), "page").menu
    assert menu and len(menu.entries) == 5


def test_the_example_of_a_manifest_is_one() -> None:
    from pykexec.launch.manifest import parse_manifest

    (text,) = [text for text in examples("launch.md") if "[xen]" in text]
    names = [domain.name for domain in parse_manifest(text.encode(), "page").domains]
    assert names == ["filter", "pc"]


@pytest.mark.parametrize("text", examples("policies.md"))
def test_an_example_of_a_policy_is_one(text: str) -> None:
    from pykexec.policy import parse_policy

    assert parse_policy(text.encode(), "page").name == tomllib.loads(text)["name"]


def test_the_example_of_operators_toml_is_one(tmp_path: Path) -> None:
    from pykexec.server.people.operators import read_operators
    from pykexec.server.people.settings import PeopleSettings

    (text,) = [text for text in examples("server.md") if "passwords" in text]
    (tmp_path / "operators.toml").write_text(text)
    people = PeopleSettings("https://keys.example:8443", "https://login.example", "pykexec")
    assert len(read_operators(tmp_path / "operators.toml", people).groups) == 2


@pytest.mark.parametrize("path", tracked(".md"), ids=relative)
def test_files_that_are_named_are_there(path: Path) -> None:
    assert missing_files(path.read_text()) == []


def missing_files(text: str) -> list[str]:
    """Paths from the project's root, in backticks, that lead to nothing."""
    named = re.findall(r"`((?:csrc|docs|kernel-patches|pykexec|tests)/[\w./-]+)`", text)
    return [name for name in named if not (ROOT / name).exists()]


def test_a_file_that_is_not_there_is_named() -> None:
    assert missing_files("`csrc/stub` `tests/none.py` `pykexec/cli/`") == ["tests/none.py"]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize(
    "path", [path for path in tracked(".md") if path not in PAGES], ids=relative
)
def test_links_outside_of_the_site_lead_somewhere(path: Path) -> None:
    assert broken_links(path, path.read_text()) == []


def broken_links(path: Path, text: str) -> list[str]:
    """Addresses of links in a Markdown file that lead to no file or heading of the project."""
    code = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
    found = []
    for address in re.findall(r"\]\(([^)\s]+)\)", code.sub("", text)):
        name, _, anchor = address.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not FOREIGN.match(address) and not (
            file.exists() and (not anchor or anchor in anchors(file))
        ):
            found.append(address)
    return found


def anchors(file: Path) -> set[str]:
    """What the headings of a Markdown file may be named by, as those who show it make it."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}


def test_a_broken_link_is_named() -> None:
    text = "[a](README.md) [b](nowhere.md) [c](README.md#nothing) [d](README.md#two-commands)"
    assert broken_links(ROOT / "README.md", text) == ["nowhere.md", "README.md#nothing"]
