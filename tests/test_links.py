"""Links of the docs and notebooks: what they name is there, the heading too."""

from __future__ import annotations

import re
import string
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "data/**/*.md", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)

_FENCE = re.compile(r"^(```+|~~~+).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^\[[^\]^]+\]:\s*(\S+)", re.MULTILINE)
_HTML = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"']+)""")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)


def prose(path: Path) -> str:
    """A page without its fenced code."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    else:
        text = path.read_text()
    return _FENCE.sub("", text)


def links(text: str) -> Iterator[str]:
    text = _CODE.sub("", text)
    for pattern in (_LINK, _REFERENCE, _HTML):
        yield from pattern.findall(text)


def headings(text: str) -> list[str]:
    """As a reader sees them: the text of a link, and code without its marks."""
    plain = (re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(text))
    return [re.sub(r"[`*]|(?<!\w)_|_(?!\w)", "", heading).strip() for heading in plain]


def anchors(text: str, *, notebook: bool) -> set[str]:
    """GitHub's anchors of a page's headings; those of a notebook are as JupyterLab makes them."""
    if notebook:
        return {heading.replace(" ", "-") for heading in headings(text)}
    found: set[str] = set()
    for heading in headings(text):
        kept = (letter for letter in heading.lower() if letter in " -_" or letter.isalnum())
        slug, number = "".join(kept).replace(" ", "-"), 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


@cache
def anchors_of(path: Path) -> set[str]:
    return anchors(prose(path), notebook=path.suffix == ".ipynb")


@cache
def tracked() -> set[str]:
    """What a clone has. Without git, whatever lies here."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else [str(path) for path in ROOT.rglob("*")]
    paths = [(ROOT / name).relative_to(ROOT) for name in names if name]
    return {path.as_posix() for path in paths} | {str(parent) for path in paths for parent in path.parents}


def problem(page: Path, link: str) -> str | None:
    """What is wrong with a link on a page."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return None if link.startswith("https://") and link.isascii() else "it is neither https nor a place in here"
    name, _, anchor = unquote(link).partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(ROOT) or target.relative_to(ROOT).as_posix() not in tracked():
        return "nothing is there"
    if anchor and (target.suffix not in (".md", ".ipynb") or anchor not in anchors_of(target)):
        return "no heading is there"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_links_to_is_there(page: Path) -> None:
    found = {link: problem(page, link) for link in links(prose(page))}
    assert not {link: reason for link, reason in found.items() if reason}


def test_pages_of_every_kind_are_looked_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert {"README.md", "docs/pkcs11.md", "docs/decisions/README.md", "notebooks/00-start-here.ipynb"} <= names
    assert sum(len(list(links(prose(page)))) for page in PAGES) > 100


def test_every_docs_page_is_reached_from_the_readme() -> None:
    """By some chain of links, so that none is forgotten."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for link in links(prose(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            target = target / "README.md" if target.is_dir() else target
            if target in PAGES and target not in seen:
                waiting.append(target)
    assert {page for page in PAGES if page.parent == ROOT / "docs"} <= seen


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("docs/pkcs11.md", None),
        ("docs/", None),
        ("docs/decisions", None),
        ("#the-course", None),
        ("notebooks/05-envelope-encryption.ipynb#A-second-recipient,-in-a-safe", None),
        ("https://example.com/a", None),
        ("docs/pkcs12.md", "nothing is there"),
        ("../main.md", "nothing is there"),
        ("/etc/hostname", "nothing is there"),
        (".venv", "nothing is there"),
        ("#The-course", "no heading is there"),
        ("docs/pkcs11.md#no-such", "no heading is there"),
        ("Makefile#L1", "no heading is there"),
        ("notebooks/05-envelope-encryption.ipynb#a-second-recipient-in-a-safe", "no heading is there"),
        ("http://example.com", "it is neither https nor a place in here"),
        ("file:///etc", "it is neither https nor a place in here"),
    ],
)
def test_a_broken_link_is_told(link: str, reason: str | None) -> None:
    assert problem(ROOT / "README.md", link) == reason


def test_links_in_code_are_none_and_headings_are_read_as_they_are_shown() -> None:
    text = """# A `kms` & [its](x.md) keys: *two*!
See [a](b.md "title"), ![p](c.svg), `[no](d.md)`, <img alt="x" src="e.png">.
[f]: g.md
## Keys_of_mine
## Keys_of_mine
"""
    assert list(links(text)) == ["x.md", "b.md", "c.svg", "g.md", "e.png"]
    assert anchors(text, notebook=False) == {"a-kms--its-keys-two", "keys_of_mine", "keys_of_mine-1"}
    assert anchors("## What it saves, and `why`", notebook=True) == {"What-it-saves,-and-why"}
    assert set(string.punctuation) & set("".join(anchors(f"# x{string.punctuation}", notebook=False))) <= set("-_")
