"""A PKCS#11 module in this process: loaded once, initialised with locking, let go when nobody uses it, safe to fork.

A module has one state a process, and reads its configuration when it is initialised. So a SoftHSM configuration of its
own (`x-softhsm2-conf=`) gets a copy of the library, which the dynamic loader takes for another one.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from shutil import copyfileobj
from threading import Lock, RLock
from time import monotonic, sleep
from typing import Any, Protocol

from pkcs11 import _pkcs11
from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error

from kmskit.backends import forks
from kmskit.backends.pkcs11 import faults
from kmskit.backends.pkcs11.cryptoki import Cryptoki, CryptokiError
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.mending import mend, undisturbed
from kmskit.errors import ConfigurationError

__all__ = ["Module", "Resident"]

_CONFIGURATION = "SOFTHSM2_CONF"
_NOT_INITIALIZED = 0x190  # CKR_CRYPTOKI_NOT_INITIALIZED
_PATIENCE = 2.0
_copies = count()
_initializing = Lock()
_Key = tuple[str, str | None, str | None]


class _Registry:
    """The modules of this process, and copies of libraries that are not in use at the moment."""

    fork_order = forks.Order.REGISTRY

    def __init__(self) -> None:
        self.lock = RLock()
        self.modules: dict[_Key, Module] = {}
        self.spare: dict[str, list[tuple[Cryptoki, Any]]] = {}
        forks.guard(self)

    def before_fork(self) -> None:
        self.lock.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        self.lock.release()


_registry = _Registry()


class Resident(Protocol):
    """Sessions that can be brought to rest."""

    def rest(self) -> bool:
        """Take free sessions out of use; True once that is all of them. Under the module's lock."""

    def go_on(self, *, handles_are_good: bool) -> None:
        """Put sessions back into use, or forget them."""


class Module:
    """An initialised module. `Module.open` gives it, `close` lets it go.

    Attributes:
        lock: held while the module is initialised or sessions are opened. Whoever has a session does not wait for it.
        objects: held while objects are made, changed, looked for or read, in a module where these must not meet. Taken
            before `lock`.
        cryptoki: its functions by ctypes.
        residents: the logins in it, by token.
        generation: counts how often it was initialised and finalised. Handles of an earlier generation mean nothing, or
            something else.
    """

    fork_order = forks.Order.TOKEN

    def __init__(self, key: _Key) -> None:
        self._key = key
        self._path, self._configuration, self._reserved = key
        self.lock = RLock()
        self.objects = RLock()
        self.residents: dict[bytes, Resident] = {}
        self.generation = 0
        self._users = 0
        self._undisturbed = False
        self._ours = False
        self._process = os.getpid()
        self.cryptoki, self._p11 = self._load()
        forks.guard(self)

    @classmethod
    def open(cls, location: Location) -> Module:
        """The module of a token's location; ConfigurationError if it cannot be loaded or initialised."""
        key = (location.module, location.configuration, location.reserved)
        with _registry.lock:
            module = _registry.modules.get(key) or cls(key)
            with module.lock:
                if not module._users and not module._ours:
                    try:
                        module._initialize()
                    except BaseException:
                        module._leave()
                        raise
                module._users += 1
            _registry.modules[key] = module
        return module

    def close(self) -> None:
        """One user less. The last one finalises the module, unless another part of the program has initialised it.

        A module in which a thread is still in a call stays.
        """
        with _registry.lock, self.lock:
            self._users -= 1
            if self._users <= 0 and not self.residents:
                self._finalize()
                self._leave()

    def _leave(self) -> None:
        _registry.modules.pop(self._key, None)
        if self._configuration is not None:
            _registry.spare.setdefault(self._path, []).append((self.cryptoki, self._p11))

    # Loading

    def _load(self) -> tuple[Cryptoki, Any]:
        if self._configuration is not None and (unused := _registry.spare.get(self._path)):
            return unused.pop()
        problem = ""
        try:
            with _own_copy(self._path) if self._configuration is not None else _as_it_is(self._path) as path:
                return Cryptoki(path), _new_library(path)
        except (OSError, PKCS11Error) as error:
            problem = str(error)
        except AttributeError:
            problem = "it has no C_GetFunctionList"
        raise ConfigurationError(
            f"the library is no PKCS#11 module that works here: {problem}",
            hint="kmskit token modules lists the modules of this machine",
        )

    def _initialize(self) -> None:
        problem: PKCS11Error
        with self.undisturbed(), _environment(self._configuration):
            if self._configuration is not None:
                mend(self._configuration)
            try:
                self._ours = self.cryptoki.initialize(None if self._reserved is None else self._reserved.encode())
                self.generation += 1
                return
            except CryptokiError as error:
                problem = error
        raise ConfigurationError(
            "the PKCS#11 module could not be initialised",
            code=faults.name_of(problem),
            hint="SoftHSM wants a configuration whose token folder this user can write to; kmskit doctor looks at it",
        )

    def _finalize(self) -> None:
        if self._ours:
            with suppress(CryptokiError):
                self.cryptoki.finalize()
            self._ours = False
            self.generation += 1

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep other processes from logging in meanwhile, in SoftHSM with a configuration of the user's own."""
        with self.lock:
            if self._configuration is None or self._undisturbed:
                yield
                return
            with undisturbed(self._configuration):
                self._undisturbed = True
                try:
                    yield
                finally:
                    self._undisturbed = False

    def restart(self) -> None:
        """Initialise the module anew: in a forked child, and when a token that was away is back.

        In a child the standard wants C_Initialize alone (PKCS#11 v3.0, 5.4). SoftHSM still takes itself for initialised
        then, and has to be finalised first.
        """
        with self.lock:
            forked = os.getpid() != self._process
            if not forked:
                self._finalize()
            self._process = os.getpid()
            self._initialize()
            if forked and not self._ours:
                self._ours = True
                self._finalize()
                self._initialize()

    def follow_fork(self) -> None:
        """Initialise the module anew if this is a child in which it has not been yet."""
        if os.getpid() != self._process:
            self.restart()

    # Tokens

    def slots(self) -> list[Any]:
        """All slots, as python-pkcs11 has them."""
        with self.lock:
            try:
                slots: list[Any] = self._p11.get_slots()
            except PKCS11Error as error:
                # Another part of the program may have finalised the module.
                if faults.code_of(error) != _NOT_INITIALIZED or not self.start_anew(_PATIENCE):
                    raise
                slots = self._p11.get_slots()
            return slots

    def tokens(self) -> list[Any]:
        """The tokens that are there and initialised, as python-pkcs11 has them."""
        found = []
        with self.lock:
            for slot in self.slots():
                with suppress(PKCS11Error):
                    token = slot.get_token()
                    if TokenFlag.TOKEN_INITIALIZED in token.flags:
                        found.append(token)
        return found

    def find(self, wanted: tuple[tuple[str, str], ...]) -> Any:
        """The one token that has these attributes; ConfigurationError if there is none, or more than one."""
        tokens, fitting = self._fitting(wanted)
        if not fitting and self.residents and self._ours and self.start_anew(_PATIENCE):
            tokens, fitting = self._fitting(wanted)  # SoftHSM looks for tokens when it is initialised.
        if len(fitting) == 1:
            return fitting[0]
        asked = ", ".join(f"{name} {value!r}" for name, value in wanted) or "any name"
        there = ", ".join(f"{token.label!r} (serial {_attribute(token, 'serial')})" for token in tokens) or "none"
        if fitting:
            raise ConfigurationError(
                f"{len(fitting)} tokens fit {asked}; there are {there}", hint="write serial=NUMBER instead of token="
            )
        raise ConfigurationError(
            f"there is no token of {asked}; there are {there}",
            code="CKR_TOKEN_NOT_PRESENT",
            hint="kmskit token init --label NAME makes one with SoftHSM; kmskit token list shows those that are there",
        )

    def _fitting(self, wanted: tuple[tuple[str, str], ...]) -> tuple[list[Any], list[Any]]:
        """All tokens, and those that have these attributes."""
        tokens = self.tokens()
        return tokens, [token for token in tokens if all(_attribute(token, name) == value for name, value in wanted)]

    # Rest: at a fork, a restart and the end nobody is inside of the module.

    def start_anew(self, patience: float) -> bool:
        """Initialise the module anew, if all sessions can be brought to rest; whether that was done.

        Those who use its tokens log in again at their next call.
        """
        with self.lock:
            generation = self.generation
            try:
                if self._rest(patience):
                    self.restart()
            finally:
                for resident in self.residents.values():
                    resident.go_on(handles_are_good=self.generation == generation)
            return self.generation != generation

    def wait_for(self, resident: Resident, patience: float) -> bool:
        """Take every session of a login out of use; False if a thread did not come back from its call in time."""
        end = monotonic() + patience
        while not resident.rest():
            if monotonic() > end:
                return False
            sleep(0.0005)
        return True

    def _rest(self, patience: float) -> bool:
        """The same for all logins, so that no thread is in a call."""
        end = monotonic() + patience
        return all(self.wait_for(resident, end - monotonic()) for resident in self.residents.values())

    def before_fork(self) -> None:
        with ExitStack() as taken:  # It may be interrupted while it waits.
            taken.enter_context(self.objects)
            taken.enter_context(self.lock)
            self._rest(float("inf"))
            taken.pop_all()

    def after_fork(self, *, in_child: bool) -> None:
        for resident in self.residents.values():
            resident.go_on(handles_are_good=not in_child)
        self.lock.release()
        self.objects.release()

    def at_exit(self) -> None:
        """Finalise the module before the interpreter and OpenSSL go, if no thread is left in a call."""
        if os.getpid() == self._process and self.lock.acquire(timeout=_PATIENCE):
            if self._rest(_PATIENCE):
                self._finalize()
            self.lock.release()


def _attribute(token: Any, name: str) -> str:
    """What a URI names: RFC 7512's attribute of a token."""
    names = {"token": "label", "manufacturer": "manufacturer_id", "model": "model", "serial": "serial"}
    value = getattr(token, names[name])
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _new_library(path: str) -> Any:
    """python-pkcs11's object for a module, made without its `__init__`, which would initialise it in its own way."""
    library: Any = _pkcs11.lib
    return library.__new__(library, path)


@contextmanager
def _as_it_is(path: str) -> Iterator[str]:
    yield path


@contextmanager
def _own_copy(path: str) -> Iterator[str]:
    """A file with the library's bytes that exists while it is loaded, and nowhere on the disk.

    The loader takes a name that it has seen before for the library that had it, even if another file has the number
    now. So every copy gets a name of its own, which means the same.
    """
    descriptor = os.memfd_create(os.path.basename(path))
    try:
        with open(path, "rb") as library, open(descriptor, "wb", closefd=False) as copy:
            copyfileobj(library, copy)
        yield f"/proc/self/{'./' * next(_copies)}fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextmanager
def _environment(configuration: str | None) -> Iterator[None]:
    """SoftHSM reads its configuration's path from the environment, and only when it is initialised.

    The environment is the process's, so one module is initialised at a time, with a configuration of its own or not.
    """
    with _initializing:
        if configuration is None:
            yield
            return
        before = os.environ.get(_CONFIGURATION)
        os.environ[_CONFIGURATION] = configuration
        try:
            yield
        finally:
            if before is None:
                del os.environ[_CONFIGURATION]
            else:
                os.environ[_CONFIGURATION] = before


@atexit.register
def _at_exit() -> None:
    for module in list(_registry.modules.values()):
        module.at_exit()
