"""`Recorder`: a Kms of any backend that writes down each use of a key, for a sequence diagram drawn from real calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from kmskit.backend import Backend
from kmskit.errors import KmsError
from kmskit.kms import Kms, open_backend

__all__ = ["Recorder", "Use"]

_MEMORY = "software:?memory=1"
_USES = {
    "encrypt": ("Encrypt", ("plaintext",), ("ciphertext",)),
    "decrypt": ("Decrypt", ("ciphertext",), ("plaintext",)),
    "generate_data_key": ("GenerateDataKey", (), ("data key", "wrapped data key")),
    "decrypt_data_key": ("Decrypt", ("wrapped data key",), ("data key",)),
    "wrap_data_key": ("Encrypt", ("data key",), ("wrapped data key",)),
    "sign": ("Sign", (), ()),
    "verify": ("Verify", (), ()),
    "mac": ("GenerateMac", (), ()),
    "verify_mac": ("VerifyMac", (), ()),
    "sign_digest": ("Sign", (), ()),
    "verify_digest": ("Verify", (), ()),
    "reencrypt": ("ReEncrypt", ("ciphertext",), ("ciphertext",)),
    "encrypt_many": ("Encrypt", ("plaintext",), ("ciphertext",)),
    "decrypt_many": ("Decrypt", ("ciphertext",), ("plaintext",)),
}
"""A backend's method -> what it asks for, what that carries, and what comes back."""
_BATCHES = ("encrypt_many", "decrypt_many")


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a key. It holds no values, only of which kind they were.

    Attributes:
        user: who asked.
        action: in the words of Alibaba Cloud's API.
        sends, gets: of `plaintext`, `data key`, `wrapped data key` and `ciphertext`.
        code: of the refusal, or nothing.
    """

    user: str
    action: str
    sends: tuple[str, ...] = ()
    gets: tuple[str, ...] = ()
    code: str = ""

    @property
    def status(self) -> int:
        return 400 if self.code else 200


class Recorder:
    """Uses of keys, oldest first, by whoever has its `kms`. A trail for `Sequence`.

        recorder = Recorder()
        key = recorder.kms.create_key("cards")
        story = Sequence(recorder)
        story.ask(lambda: key.encrypt(card))

    Args:
        uri: of the backend: as for `kmskit.connect`; in memory if left out.
        user: what the program is called that asks.
        **options: as for `kmskit.connect`.

    Attributes:
        kms: whose uses are written down. A context manager, as each Kms is.
    """

    def __init__(self, uri: str = _MEMORY, user: str = "app", **options: Any) -> None:
        inner = open_backend(uri, **options)
        self._uses: list[Use] = []
        self.kms = Kms(inner.uri, cast("Backend", _Recording(inner, user, self._uses.append)))

    def __len__(self) -> int:
        return len(self._uses)

    def __iter__(self) -> Iterator[Use]:
        return iter(self._uses)

    def __repr__(self) -> str:
        return f"<Recorder {self.kms.backend}: {len(self)} uses>"


class _Recording:
    """A backend that tells of each use of a key; all else is the other backend's."""

    def __init__(self, inner: Backend, user: str, tell: Callable[[Use], None]) -> None:
        self._inner = inner
        self._user = user
        self._tell = tell
        self._uses = dict(_USES)
        if inner.uri.startswith("pkcs11:"):
            # The program draws the data key, and the token encrypts it: a token gives no key out.
            self._uses["generate_data_key"] = _USES["wrap_data_key"]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._uses:
            return method

        def recorded(*arguments: Any) -> Any:
            action, sends, gets = self._uses[name]
            try:
                result = method(*arguments)
            except KmsError as error:
                self._tell(self._refused(action, sends, error))
                raise
            # Of a batch each item is a use, with an outcome of its own.
            for fault in [one.error for one in result] if name in _BATCHES else [None]:
                use = Use(self._user, action, sends, gets) if fault is None else self._refused(action, sends, fault)
                self._tell(use)
            return result

        return recorded

    def _refused(self, action: str, sends: tuple[str, ...], error: KmsError) -> Use:
        return Use(self._user, action, sends, code=error.code or type(error).__name__)
