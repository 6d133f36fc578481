"""The keys of one token: found, remembered by their handles, switched, renamed and destroyed; each in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error

from kmskit.algorithms import Spec
from kmskit.backends.pkcs11 import faults, inventory, mechanisms
from kmskit.backends.pkcs11.cryptoki import FALSE, TRUE, CryptokiError
from kmskit.backends.pkcs11.inventory import GONE, Material, TokenKey
from kmskit.backends.pkcs11.publichalf import read_public
from kmskit.backends.pkcs11.session import Session
from kmskit.backends.pkcs11.sessions import Sessions
from kmskit.backends.publickey import PublicKey
from kmskit.types import KeyUsage

__all__ = ["Maker", "TokenKeys"]

_AWAY = 0x0E0  # CKR_TOKEN_NOT_PRESENT
_SOFTHSM = "SoftHSM"
"""Its objects are files that are emptied and written again when an attribute changes: a process that is killed between
the two has lost the key. There a changed copy takes the object's place instead. And it fails now and then when one
thread makes an object while another one looks for some, so there they wait for each other."""
_NOTHING_WAS_DONE = (0x0B3, 0x0E0, 0x101, 0x190)
"""CKR_SESSION_HANDLE_INVALID, CKR_TOKEN_NOT_PRESENT, CKR_USER_NOT_LOGGED_IN, CKR_CRYPTOKI_NOT_INITIALIZED."""
_UNCHANGEABLE = (0x010, 0x01B)  # CKR_ATTRIBUTE_READ_ONLY, CKR_ACTION_PROHIBITED
_STRAY_AFTER = 86_400  # Seconds after which an unfinished key is none that is just being made.

# What is switched of a key's newest version and of the older ones, which only open what they encrypted.
_FLAGS = {
    KeyUsage.ENCRYPT_DECRYPT: (Attribute.ENCRYPT, Attribute.DECRYPT),
    KeyUsage.SIGN_VERIFY: (Attribute.SIGN,),
    KeyUsage.GENERATE_VERIFY_MAC: (Attribute.SIGN, Attribute.VERIFY),
}

_Result = TypeVar("_Result")
Maker = Callable[..., mechanisms.Handles]


class TokenKeys:
    """The keys of one token, as this process knows them. Changes are made under a lock of the caller's."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: dict[str, TokenKey] = {}
        self._is_softhsm = str(sessions.token.manufacturer_id).startswith(_SOFTHSM)

    def run(self, work: Callable[[Session], _Result], *, once: bool = False) -> _Result:
        """What `work` does with a session. If the session, the login or the token was lost, it is done once more.

        Args:
            work: may be done again, or is `once`.
            once: do it again only where it is certain that nothing was done.

        Raises:
            KmsError: what the module's error means.
        """
        with self._sessions.module.objects if self._is_softhsm else nullcontext():
            return self._run(work, once)

    def _run(self, work: Callable[[Session], _Result], once: bool) -> _Result:
        for attempt in (1, 2):
            session = self._sessions.acquire()
            try:
                result = work(session)
            except PKCS11Error as error:
                problem = error
            except BaseException:
                self._sessions.discard(session)
                raise
            else:
                self._sessions.release(session)
                return result
            well = self._sessions.answers(session)
            self._sessions.discard(session)
            if attempt == 2 or ((well or once) and faults.code_of(problem) not in _NOTHING_WAS_DONE):
                break
            if not well:
                self._sessions.renew(session.epoch)
        raise faults.translate(problem)

    # Finding

    def _check_login(self, session: Session, *, complete: bool) -> None:
        """After a search. To whoever is not logged in a token shows no key, and SoftHSM to nobody when it is away.

        Args:
            complete: whether all was found that was to be expected, so that the token was there.
        """
        if not (self._sessions.logged_in(session) if complete else self._sessions.answers(session)):
            raise CryptokiError(_AWAY)

    def scan(self) -> dict[str, TokenKey]:
        """All keys that are on the token now, oldest first."""

        def work(session: Session) -> dict[str, TokenKey]:
            keys = inventory.read_keys(session)
            self._check_login(session, complete=bool(keys) and self._known.keys() <= keys.keys())
            return keys

        self._known = self.run(work)
        return dict(self._known)

    def find(self, key_id: str) -> TokenKey | None:
        """A key as it is on the token now; None if it is not there."""
        known = self._known.get(key_id)
        if known is not None and (key := self._read_again(known)) and not key.was_rotated_elsewhere:
            self._known[key_id] = key
            return key
        return self.scan().get(key_id)

    def _read_again(self, known: TokenKey) -> TokenKey | None:
        """A key's flags and label, by the handles of its objects; None if those are no longer good."""

        def work(session: Session) -> TokenKey | None:
            if session.epoch != known.epoch:
                return None
            try:
                return inventory.renewed(session, known)
            except CryptokiError as error:
                if error.code in GONE:
                    return None
                raise

        return self.run(work)

    def labelled(self, label: str) -> list[str]:
        """The ids of the keys that have a label, oldest first."""

        def work(session: Session) -> list[str]:
            found = inventory.ids_labelled(session, label)
            self._check_login(session, complete=bool(found))
            return found

        return self.run(work)

    def of_version(self, version: int) -> str | None:
        """The id of the key that a version belongs to."""
        found = _of_version(version, self._known) or _of_version(version, self.scan())
        return None if found is None else found.id

    def public(self, key: TokenKey) -> PublicKey | None:
        """The public half of a key; None if it has none."""
        if key.public is None:
            return None

        def work(session: Session) -> PublicKey:
            self._follow(session, key)
            return PublicKey(key.spec, read_public(session, key.public or 0, key.spec))

        return self.run(work)

    def _follow(self, session: Session, key: TokenKey) -> None:
        """Look a key's objects up again if its handles are of an earlier epoch: they may be others' numbers now."""
        if session.epoch == key.epoch:
            return
        found = inventory.read_keys(session).get(key.id)
        if found is None:
            raise CryptokiError(GONE[0])
        key.epoch, key.materials, key.public, key.spares = found.epoch, found.materials, found.public, found.spares

    def forget(self, key_id: str | None = None) -> None:
        """Read a key, or all of them, anew at the next use."""
        if key_id is None:
            self._known.clear()
        else:
            self._known.pop(key_id, None)

    # Changing

    def make(self, key_id: str, spec: Spec, usage: KeyUsage, label: str, maker: Maker, *material: bytes) -> TokenKey:
        """A new key, by one of the functions of `mechanisms`."""
        cka_id = inventory.pack_id(key_id, 0, 0)

        def work(session: Session) -> tuple[int, mechanisms.Handles]:
            return session.epoch, maker(session, spec, usage, cka_id, label, *material)

        epoch, (handle, public) = self.run(work, once=True)
        opens = usage is KeyUsage.ENCRYPT_DECRYPT
        first = Material(handle, inventory.first_version(key_id), 0, label, may_begin=True, may_open=opens)
        self._known[key_id] = key = TokenKey(key_id, spec, usage, not material, epoch, [first], public)
        return key

    def add_version(self, key: TokenKey, version: int) -> None:
        """Make a new version, and let the older ones only open what they have encrypted."""
        position = key.newest.position + 1
        cka_id = inventory.pack_id(key.id, version, position)

        def make(session: Session) -> tuple[int, int]:
            return session.epoch, mechanisms.generate(session, key.spec, key.usage, cka_id, key.label)[0]

        def close_older(session: Session) -> None:
            for material in key.materials:
                if material.may_begin and material.version != version:
                    with _tolerated():
                        material.handle = self._set(session, material.handle, {Attribute.ENCRYPT: FALSE})

        epoch, handle = self.run(make, once=True)
        self._change(key, close_older)
        if epoch == key.epoch:
            key.materials.append(Material(handle, version, position, key.label, may_begin=True, may_open=True))
        else:
            self.forget(key.id)

    def switch(self, key: TokenKey, on: bool) -> None:
        """Let the versions of a key do what they are for, or nothing.

        The newest version tells whether the key is enabled: it goes off first and on last, so that a key half switched
        by a process that was killed counts as disabled, and switching it again completes it.
        """
        value = TRUE if on else FALSE

        def work(session: Session) -> None:
            for material in key.materials if on else reversed(key.materials):
                flags = _FLAGS[key.usage]
                if key.spec.asymmetric or material is not key.newest:
                    flags = flags[-1:]
                material.handle = self._set(session, material.handle, dict.fromkeys(flags, value))

        self._change(key, work)

    def rename(self, key: TokenKey, label: str) -> None:
        """Give a key's objects another label, where the token lets them be renamed."""

        def work(session: Session) -> None:
            named: dict[int, bytes] = {Attribute.LABEL: label.encode()}
            for material in key.materials:
                with _tolerated():
                    material.handle = self._set(session, material.handle, named)
            if key.public is not None:
                with _tolerated():
                    key.public = self._set(session, key.public, named)

        self._change(key, work)

    def destroy(self, key: TokenKey) -> None:
        def work(session: Session) -> None:
            for handle in key.handles():
                with _tolerated(GONE):
                    session.destroy(handle)

        self._change(key, work)
        self.forget(key.id)

    def _change(self, key: TokenKey, work: Callable[[Session], object]) -> None:
        """Change a key's objects, after removing copies that an earlier change left; its flags are read anew."""

        def cleared(session: Session) -> None:
            self._follow(session, key)
            for handle in key.spares:
                with _tolerated(GONE):
                    session.destroy(handle)
            key.spares.clear()
            work(session)

        try:
            self.run(cleared)
        except BaseException:
            self.forget(key.id)  # Which of its handles are still good, only the token knows.
            raise

    def _set(self, session: Session, handle: int, values: Mapping[int, bytes]) -> int:
        """Change attributes of an object, so that a process that is killed meanwhile loses nothing; its new handle."""
        if session.attributes(handle, list(values)) == list(values.values()):
            return handle
        if self._is_softhsm:
            new = session.copy(handle, values)
            session.destroy(handle)
            return new
        session.set_attributes(handle, values)
        return handle

    def sweep(self, now: float) -> None:
        """Destroy what was never finished, once it is so old that nobody can still be making the key."""

        def work(session: Session) -> None:
            strays = inventory.unfinished(session)
            self._check_login(session, complete=False)  # Without the login every public half seems to be alone.
            for key_id, handle in strays:
                if now - inventory.created(key_id).timestamp() > _STRAY_AFTER:
                    with _tolerated(GONE):
                        session.destroy(handle)

        self.run(work)


def _of_version(version: int, keys: dict[str, TokenKey]) -> TokenKey | None:
    return next((key for key in keys.values() if any(part.version == version for part in key.materials)), None)


@contextmanager
def _tolerated(codes: tuple[int, ...] = _UNCHANGEABLE) -> Iterator[None]:
    """Go on where the token refuses a change that is not essential."""
    try:
        yield
    except CryptokiError as error:
        if error.code not in codes:
            raise
