"""The sessions of a login: opened when they are needed, one for each thread that is in a call, and shared by all Kms.

An anchor session logs the process in and stays open; the others are opened without a PIN. When the login or a session
is lost, because another part of the program has logged out, a token was pulled or a process has forked, everything is
opened anew, and a new epoch begins: handles of objects, which belong to an epoch, are then looked up again.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, cast
from weakref import WeakSet

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, SessionCount, TokenWriteProtected

from kmskit.backends.pkcs11 import faults, pin
from kmskit.backends.pkcs11.location import Location
from kmskit.backends.pkcs11.module import Module
from kmskit.backends.pkcs11.openssl import clear_errors
from kmskit.backends.pkcs11.pin import Pin, PinOption
from kmskit.backends.pkcs11.session import Session
from kmskit.backends.pkcs11.tokens import TRIES_WERE_WRONG, identity
from kmskit.errors import AuthenticationError, ConfigurationError, KmsError, ServiceUnavailableError

__all__ = ["Sessions"]

_USER = 1  # CKU_USER
_PATIENCE = 30.0


class Sessions:
    """All sessions with one token. `Sessions.open` gives it, `close` lets it go.

    Attributes:
        epoch: of the present login.
        identity: what tells the token from all others in the module.
        token: the token, as python-pkcs11 has it.
    """

    def __init__(self, module: Module, location: Location, token: Any) -> None:
        self.module = module
        self.epoch = 0
        self.token = token
        self._wanted = location.wanted
        self.identity = identity(token)
        self._users = 0
        self._generation = 0
        self._pin: Pin | None = None
        self._anchor: Any = None
        self._free: deque[Session] = deque()
        self._all: WeakSet[Session] = WeakSet()  # Weak, since an interrupt may lose one between a call's lines.
        self._resting: list[Session] = []
        self._was_away = False
        self._read_only = False

    @classmethod
    def open(cls, location: Location, option: PinOption, *, may_ask: bool) -> Sessions:
        """The sessions with a token, logged in.

        Args:
            location: which token.
            option: the PIN, or a function that gives it.
            may_ask: whether someone may be asked for the PIN, if it stands nowhere.

        Raises:
            ConfigurationError: no such module or token, or no PIN.
            AuthenticationError: the token refused the PIN. It is not tried again.
        """
        module = Module.open(location)
        try:
            with faults.translated(), module.undisturbed():
                module.follow_fork()
                token = module.find(location.wanted)
                known = _known(module, token)
            # Outside of the lock, because it may wait for someone to type.
            login_required = TokenFlag.LOGIN_REQUIRED in token.flags
            may_ask &= known is None and TokenFlag.PROTECTED_AUTHENTICATION_PATH not in token.flags
            given = pin.find_pin(location, option, may_ask=may_ask) if login_required else None
            with module.lock:
                sessions = _known(module, token) or cls(module, location, token)
                sessions._join(given)
                module.residents[sessions.identity] = sessions
                sessions._users += 1
        except BaseException:
            module.close()
            raise
        finally:
            clear_errors()
        return sessions

    def _join(self, given: Pin | None) -> None:
        """Log in; or, where another Kms has done it, see that this one has the same PIN."""
        if not self._users:
            self._pin = given
            self._log_in()
        elif given is not None:
            accepted = self._pin is not None and self._pin.accepted
            if self._pin is not None and accepted and not self._pin.equals(given):
                raise AuthenticationError(
                    "the token is open in this process with another PIN; this one was not tried",
                    hint="give the right PIN",
                )
            if not accepted:
                self._pin = given
            if self._anchor is None:
                # The login was lost, and not made again by itself, perhaps because the PIN was refused: here is one.
                self._log_in()

    def close(self) -> None:
        """One user less. The last one closes the sessions, which ends the login.

        It waits for the calls that other threads are in: a module that is finalised meanwhile may crash. If one does
        not come back the module stays as it is.
        """
        with self.module.lock:
            self._users -= 1
            if self._users <= 0:
                self._pin = None
                came_back = self.module.wait_for(self, _PATIENCE)
                self.go_on(handles_are_good=True)
                self._drop()
                self.epoch += 1  # A session that comes back later than that is closed.
                if came_back:
                    self.module.residents.pop(self.identity, None)
        self.module.close()
        clear_errors()

    # Use

    def acquire(self) -> Session:
        """A session that no other thread has. It goes back by `release`, or by `discard` after an unexpected error."""
        alone = not self.module.cryptoki.locks  # A restart may change that before the session goes back.
        if alone:
            self.module.lock.acquire()
        try:
            session: Session | None = self._free.pop()
        except IndexError:
            session = None
        try:
            session = session or self._open_another()
        except BaseException:
            if alone:
                self.module.lock.release()
            raise
        session.alone = alone
        return session

    def release(self, session: Session) -> None:
        clear_errors()
        alone = session.alone
        if session.epoch == self.epoch:
            self._free.append(session)
        else:
            self._forget(session)
        if alone:
            self.module.lock.release()

    def discard(self, session: Session) -> None:
        """Close a session in which something went wrong: an operation may still be active in it."""
        self._forget(session)
        clear_errors()
        if session.alone:
            self.module.lock.release()

    def _forget(self, session: Session) -> None:
        if session.generation == self.module.generation:  # Else its number may be another session's by now.
            self.module.cryptoki.close_session(session.handle)
        self._all.discard(session)

    def _open_another(self) -> Session:
        end = monotonic() + _PATIENCE
        while True:
            with self.module.lock:
                self._check_open()
                self.module.follow_fork()
                if self._anchor is None or self._generation != self.module.generation:
                    self._begin_again()
                try:
                    session = Session(self.module.cryptoki, self._open_p11(), self.epoch, self._generation)
                    self._all.add(session)
                    return session
                except SessionCount as error:
                    if not self._all or monotonic() > end:
                        raise faults.translate(error) from None
                except PKCS11Error as error:
                    raise faults.translate(error) from None
            sleep(0.001)  # The token has no more sessions: wait for one that another thread gives back.
            with suppress(IndexError):
                return self._free.pop()

    def _check_open(self) -> None:
        if self._users <= 0:
            raise ConfigurationError("this connection to the token is closed", hint="connect again")

    def _open_p11(self) -> Any:
        if not self._read_only:
            try:
                return self.token.open(rw=True)
            except TokenWriteProtected:
                self._read_only = True
        return self.token.open()

    # Login

    def _log_in(self, *, again: bool = False) -> None:
        with self.module.undisturbed():
            self._log_in_undisturbed(again=again)

    def _log_in_undisturbed(self, *, again: bool) -> None:
        """Open the anchor and log in."""
        try:
            if self._was_away:
                # SoftHSM forgets the objects of a token that was away, and another part of the program may have
                # finalised the module.
                self.module.start_anew(_PATIENCE)
            self.token = self.module.find(self._wanted)
            if again and identity(self.token) != self.identity:
                raise ServiceUnavailableError("another token is in the place of this one", hint="connect again")
            anchor = self._open_p11()
            try:
                if TokenFlag.LOGIN_REQUIRED in self.token.flags:
                    self._send_pin(anchor.handle, again=again)
            except BaseException:
                self.module.cryptoki.close_session(anchor.handle)
                raise
        except PKCS11Error as error:
            problem: KmsError = faults.translate(error)
        except ConfigurationError as error:
            if not again:
                raise
            problem = ServiceUnavailableError(
                "the token is away", code=error.code, hint="the same call may succeed when it is back"
            )
        else:
            self._anchor, self._generation = anchor, self.module.generation
            self.epoch += 1
            self._was_away = False
            return
        raise problem

    def _send_pin(self, session: int, *, again: bool) -> None:
        cryptoki, flags = self.module.cryptoki, self.token.flags
        if self._pin is None and TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags:
            cryptoki.login(session, _USER, None)  # It is typed on the token itself.
            return
        if again and self._still_logged_in(session):
            return
        if self._pin is None:
            raise pin.missing()
        if self._pin.value is None:
            raise AuthenticationError(
                "the token has refused the PIN, which is not sent again", hint="connect again with the right PIN"
            )
        if TokenFlag.USER_PIN_LOCKED in flags:
            raise AuthenticationError(
                "the token has locked the PIN", code="CKR_PIN_LOCKED", hint="its security officer can set a new one"
            )
        if again and (not self._pin.accepted or flags & TRIES_WERE_WRONG):
            raise AuthenticationError(
                "the login to the token was lost, and the PIN is not sent again by itself, since it may be a wrong one",
                hint="connect again with the right PIN",
            )
        try:
            self._pin.accepted |= cryptoki.login(session, _USER, self._pin.value)
        except PKCS11Error as error:
            if faults.name_of(error).startswith("CKR_PIN_"):  # Another refusal says nothing of the PIN.
                self._pin.forget()
            raise faults.translate(error) from None

    def _still_logged_in(self, session: int) -> bool:
        return self.module.cryptoki.answers(session, logged_in=True)

    # Recovery

    def answers(self, session: Session) -> bool:
        """Whether a session is well: it is there, logged in where that is needed, and so is its token."""
        try:
            if identity(self.token.slot.get_token()) != self.identity:
                return False
        except PKCS11Error:
            self._was_away = True
            return False
        return self.logged_in(session)

    def logged_in(self, session: Session) -> bool:
        """Whether a session is there, and logged in where that is needed."""
        needed = TokenFlag.LOGIN_REQUIRED in self.token.flags
        return session.epoch == self.epoch and self.module.cryptoki.answers(session.handle, logged_in=needed)

    def renew(self, epoch: int) -> None:
        """Begin a new epoch, unless another thread has done so since `epoch`.

        Raises:
            ServiceUnavailableError: the token is away.
            AuthenticationError: the login was lost, and the PIN may not be sent again.
        """
        with self.module.lock:
            if epoch == self.epoch:
                self._begin_again()

    def _begin_again(self) -> None:
        self._check_open()
        self._drop()
        self._log_in(again=True)

    def _drop(self) -> None:
        """Close what is free; what is in use is closed when it comes back."""
        with suppress(IndexError):
            while True:
                self._forget(self._free.pop())
        if self._anchor is not None and self._generation == self.module.generation:
            self.module.cryptoki.close_session(self._anchor.handle)
        self._anchor = None

    # Rest: for forks, restarts and the end.

    def rest(self) -> bool:
        """Take the free sessions out of use; True once that is all of them. The module's lock keeps new ones away."""
        with suppress(IndexError):
            while True:
                self._resting.append(self._free.pop())
        return len(self._resting) == len(self._all)

    def go_on(self, *, handles_are_good: bool) -> None:
        """Put the sessions back into use; or forget them, after a restart and in a forked child."""
        if handles_are_good:
            self._free.extend(self._resting)
        else:
            self._all.clear()
            self._anchor = None
        self._resting.clear()


def _known(module: Module, token: Any) -> Sessions | None:
    """The sessions that another Kms has with a token."""
    return cast("Sessions | None", module.residents.get(identity(token)))
