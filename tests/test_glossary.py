"""The glossary says what is so: its names exist, and its places use the words. Its cells are the plugin's to run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

import kmskit
from kmskit import emulator, envelope

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "notebooks" / "glossary.ipynb"
ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+?) \| \[(\w+)\]\(([^)#]+)(?:#(.+))?\) \| (.+?) \|$", re.MULTILINE)

NOT_WORDS = {
    "Batch": "the answer of encrypt_many",
    "Outcome": "an item of a Batch",
    "Explanation": "the answer of explain",
}
"""Public classes that are values of a call and no words of the field."""

OTHER_FORMS = {
    "key version": ("version",),
    "primary version": ("primary",),
    "data key cache": ("DataKeyCache",),
    "associated data": ("additional authenticated data",),
    "support": ("supports",),
    "state": ("**state**",),
    "unwrap": ("unwrap", "unwrapped"),
    "wrap": ("wrap", "wrapped"),
}
"""How the places say it, where that is not the word with an s at its end."""


def cells(path: Path) -> list[Any]:
    return list(nbformat.read(path, as_version=4).cells)


def rows() -> list[tuple[str, str, str, str, str, str]]:
    prose = "\n".join(cell.source for cell in cells(GLOSSARY) if cell.cell_type == "markdown")
    found: list[tuple[str, str, str, str, str, str]] = ROW.findall(prose)
    assert len(found) == len(re.findall(r"^\| \*\*", prose, re.MULTILINE))
    return found


entries = pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].replace(" ", "-"))


def test_the_words_are_sorted_and_stand_once() -> None:
    words = [row[0] for row in rows()]
    assert words == sorted(words, key=str.lower)
    assert len({word.lower() for word in words}) == len(words) >= 60


@entries
def test_a_word_is_told_in_one_sentence_or_two(row: tuple[str, ...]) -> None:
    _, meaning, *_ = row
    assert 1 <= len(re.findall(r"[.!?](?= |$)", meaning)) <= 2
    assert meaning.endswith(".")


def headings(path: Path) -> set[str]:
    """The anchors of a page: JupyterLab's for a notebook, GitHub's for a text."""
    if path.suffix == ".md":
        titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    prose = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    return {title.replace("`", "").replace(" ", "-") for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)}


@entries
def test_the_place_where_a_word_is_learnt_is_there_and_uses_it(row: tuple[str, ...]) -> None:
    word, _, title, name, anchor, _ = row
    path = (GLOSSARY.parent / name).resolve()
    assert path.is_relative_to(ROOT)
    assert title == path.name[:2] or path.suffix == ".md"
    assert not anchor or anchor in headings(path)
    text = path.read_text() if path.suffix == ".md" else "\n".join(cell.source for cell in cells(path))
    forms = OTHER_FORMS.get(word, (word,))
    pattern = "|".join(rf"(?<!\w){re.escape(form)}(?:s|es|d|ed)?(?!\w)" for form in forms)
    assert re.search(pattern, text.replace("\n", " "), re.IGNORECASE)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """What the names begin with, as the glossary makes it."""
    token = kmskit.softhsm.token(tmp_path_factory.mktemp("token"))
    with kmskit.connect("software:?memory=1") as kms, emulator.start() as cloud:
        key = kms.create_key("orders")
        yield SimpleNamespace(kmskit=kmskit, envelope=envelope, kms=kms, key=key, cloud=cloud, token=token)


def found(names: SimpleNamespace, name: str) -> object:
    """The object of a dotted name; modules on the way are loaded."""
    owner: object = names
    for part in name.split("."):
        if inspect.ismodule(owner) and not hasattr(owner, part):
            import_module(f"{owner.__name__}.{part}")
        owner = getattr(owner, part)
    return owner


@entries
def test_its_names_in_the_api_exist(row: tuple[str, ...], names: SimpleNamespace) -> None:
    cell = row[5]
    listed = re.findall(r"`([^`]+)`", cell)
    assert listed or cell == "-"
    for entry in listed:
        match = re.fullmatch(r"([\w.]+)(?:\((\w+)\))?", entry)
        assert match
        name, parameter = match.groups()
        value = found(names, name)
        if parameter:
            assert callable(value)
            assert parameter in inspect.signature(value).parameters
        if inspect.isroutine(value) or inspect.isclass(value):
            assert value.__doc__ or inspect.isclass(value), f"{name} has no docstring"


def test_no_name_is_found_that_is_not_there(names: SimpleNamespace) -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        found(names, "kmskit.no_such_name")
    with pytest.raises(AttributeError):
        found(names, "key.no_such_name")


def test_every_public_noun_is_a_word_or_is_said_not_to_be_one() -> None:
    nouns = {
        name
        for name in kmskit.__all__
        if inspect.isclass(value := getattr(kmskit, name)) and not issubclass(value, Exception | Warning)
    }
    covered = {name for row in rows() for name in re.findall(r"`kmskit\.(\w+)`", row[5])}
    assert nouns - covered == NOT_WORDS.keys()


def test_it_is_reached_from_the_course_and_leads_back() -> None:
    reached = [path for path in GLOSSARY.parent.glob("[0-9]*.ipynb") if "(glossary.ipynb)" in path.read_text()]
    assert {"00-start-here.ipynb", "12-capstone.ipynb"} <= {path.name for path in reached}
    assert "(00-start-here.ipynb)" in cells(GLOSSARY)[-1].source
