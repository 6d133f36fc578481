"""What is public, and how light it is."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module
from inspect import ismodule
from types import ModuleType

import pytest

import kmskit
import kmskit.testing

MODULES = [
    module.name
    for module in pkgutil.walk_packages(kmskit.__path__, "kmskit.")
    if not module.name.endswith("__main__")
    and ".testing.notebooks" not in module.name  # A pytest plugin, loaded as such.
]


def test_the_list_of_public_names_is_complete() -> None:
    ours = {
        name
        for name, value in vars(kmskit).items()
        if not name.startswith("_") and not ismodule(value) and getattr(value, "__module__", "").startswith("kmskit")
    }
    assert set(kmskit.__all__) == ours
    assert kmskit.__all__ == sorted(kmskit.__all__)
    assert set(kmskit.__all__) < set(dir(kmskit))


def test_the_contract_names_are_there() -> None:
    for name in ("connect", "open_key", "explain", "Kms", "Key", "Batch", "Support", "Explanation", "CapabilityTable"):
        assert name in kmskit.__all__


def test_subpackages_load_on_first_access() -> None:
    assert kmskit.testing.BackendConformance.__name__ == "BackendConformance"
    for module in (kmskit, kmskit.testing):
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            module.nonsense  # noqa: B018


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_only_what_it_has(name: str) -> None:
    module: ModuleType = import_module(name)
    assert module.__doc__, "a module says in its docstring what it is for"
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    for public in listed:
        assert hasattr(module, public), public


SUBPACKAGES = {f"kmskit.{module.name}" for module in pkgutil.iter_modules(kmskit.__path__) if module.ispkg}
OF_CRYPTOGRAPHY = {"cryptography", "_cffi_backend", "_openssl"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads, in a Python of its own."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """Whose modules these are, leaving out the standard library's."""
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names


def test_importing_kmskit_loads_neither_a_package_nor_a_backend() -> None:
    loaded = loaded_by("import kmskit")
    assert packages(loaded) == {"kmskit"}
    assert not loaded & SUBPACKAGES
    assert not loaded & {"sqlite3", "ssl", "asyncio", "multiprocessing"}


def test_the_software_backend_needs_no_extra() -> None:
    loaded = loaded_by('import kmskit; kmskit.connect("software:?memory=1").create_key(spec="RSA_2048").sign(b"x")')
    assert packages(loaded) == {"kmskit", "platformdirs", *OF_CRYPTOGRAPHY}
    assert loaded & SUBPACKAGES == {"kmskit.backends"}
