"""Who imports whom, read from the source: DESIGN section 5."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import kmskit

ROOT = Path(kmskit.__file__).parent
FLOORS = (
    {"markup", "quantity"},
    {"errors", "svg"},
    {"types"},
    {"algorithms", "context", "uri", "ciphertext", "names", "batch", "progress", "refusals"},
    {"assumed"},
    {"backend", "material", "keyview"},
    {"capabilities", "key"},
    {"undescribed"},
    {"kms"},
    {"explain"},
)
"""Each floor imports the floors below it, and within a floor there is no circle. Subpackages stand on top."""
ON_FIRST_USE = {("kmskit.explain", "kmskit.envelope")}
"""What a floor takes from a subpackage, inside of the function that needs it."""
HEIGHT = {f"kmskit.{name}": height for height, floor in enumerate(FLOORS) for name in floor}
PUBLIC_NAMES_ONLY = ("notebook", "widgets", "bench", "interop", "cli")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which no program runs."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield child
            yield from walk(child)


def imported_names(name: str) -> Iterator[tuple[str, str | None]]:
    """(module, name in it or None) of each import in a module, at its top or in a function."""
    for node in walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: imports are absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield (submodule, None) if submodule in SOURCES else (str(node.module), alias.name)


@cache
def imports(name: str) -> frozenset[str]:
    return frozenset(module for module, _ in imported_names(name))


def at_the_top(name: str) -> set[str]:
    """What a module imports when it is itself imported."""
    found = set()
    for node in tree(name).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(name: str) -> str:
    """The subpackage, or the module that stands alone, that a module belongs to."""
    return ".".join(name.split(".")[: 3 if name.startswith("kmskit.backends.") else 2])


def test_the_floors_stand_on_each_other() -> None:
    for name, height in HEIGHT.items():
        for imported in imports(name):
            ours = imported == "kmskit" or imported.startswith("kmskit.")
            if ours and (name, part_of(imported)) not in ON_FIRST_USE:
                assert HEIGHT.get(imported, 99) <= height, f"{name} imports {imported}"


def test_every_module_on_the_ground_has_a_floor() -> None:
    single = {name for name in SOURCES if name.count(".") == 1 and SOURCES[name].name != "__init__.py"}
    entrances = {"kmskit.softhsm", "kmskit.__main__"}
    assert single - entrances == set(HEIGHT)


def test_the_floors_need_no_package_when_they_are_imported() -> None:
    for name in HEIGHT:
        packages = {imported.partition(".")[0] for imported in at_the_top(name)}
        assert packages - sys.stdlib_module_names <= {"kmskit"}, name


def test_there_is_no_circle() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for imported in sorted(imports(name) & SOURCES.keys()):
                # A package may name its submodules, and they what it defined before: only real modules make circles.
                if not name.startswith(imported + ".") and imported != "kmskit":
                    visit(imported, (*path, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())


SHARED = {f"kmskit.backends.{path.stem}" for path in (ROOT / "backends").glob("*.py")}
"""What stands beside the backends' folders is for all of them, and knows none."""


def test_a_backend_imports_no_other_backend() -> None:
    for name in SOURCES:
        if name.startswith("kmskit.backends."):
            others = {imported for imported in imports(name) if imported.startswith("kmskit.backends.")}
            itself = set() if name in SHARED else {part_of(name)}
            assert {part_of(imported) for imported in others} <= SHARED | itself, name


def test_a_backend_knows_neither_kms_nor_key() -> None:
    for name in SOURCES:
        if name.startswith("kmskit.backends."):
            for imported in imports(name):
                if imported.startswith("kmskit.") and not imported.startswith("kmskit.backends."):
                    assert HEIGHT.get(imported, 99) <= HEIGHT["kmskit.backend"], f"{name} imports {imported}"


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        ("kmskit.envelope", set()),
        # And the SQLite file under both; never `backends.alibaba`: the two ends of the wire are written apart.
        ("kmskit.emulator", {"kmskit.backends.software", "kmskit.backends.database"}),
        ("kmskit.kms", set()),  # It loads a backend by its name, on first use.
        ("kmskit.doctor", {"kmskit.backends.software", "kmskit.backends.pkcs11", "kmskit.backends.alibaba"}),
        ("kmskit.softhsm", {"kmskit.backends.pkcs11"}),
        ("kmskit.tokens", {"kmskit.backends.pkcs11"}),
        *((f"kmskit.{name}", set()) for name in PUBLIC_NAMES_ONLY),
    ],
)
def test_only_some_may_import_a_backend(part: str, allowed: set[str]) -> None:
    for name in SOURCES:
        if part_of(name) == part:
            used = {part_of(imported) for imported in imports(name) if imported.startswith("kmskit.backends")}
            assert used <= allowed, name


def public_names(name: str) -> set[str]:
    """A module's `__all__`; without one, what it defines without an underscore."""
    found: set[str] = set()
    for node in tree(name).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return set(ast.literal_eval(node.value))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {public for public in found if not public.startswith("_")}


@pytest.mark.parametrize("part", PUBLIC_NAMES_ONLY)
def test_what_is_built_on_kmskit_uses_public_names_only(part: str) -> None:
    for name in SOURCES:
        if part_of(name) != f"kmskit.{part}":
            continue
        for module, wanted in imported_names(name):
            if part_of(module) != part_of(name) and module in SOURCES and wanted is not None:
                assert wanted in public_names(module) | {"__version__"}, f"{name}: {module}.{wanted}"
        for node in walk(tree(name)):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_"):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                assert owner in ("self", "cls"), f"{name}, line {node.lineno}: {ast.unparse(node)}"
