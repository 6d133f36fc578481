"""`NonceReuse`: two bitmaps, encrypted under one nonce or under two, and what their XOR tells without a key."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmskit.notebook import pictures
from kmskit.widgets import controls
from kmskit.widgets.tile import Tile

__all__ = ["NonceReuse"]

_TAG_SIZE = 16
_PIXELS = 8 * len(pictures.KEY)


class NonceReuse(Tile):
    """A key and a lock as bitmaps, encrypted with AES-GCM under a fresh key whenever a button is pressed.

    This misuses the cipher on purpose: no Kms lets you choose a nonce.

    Args:
        reuse: whether one nonce is used for both at first.
    """

    def __init__(self, reuse: bool = True) -> None:
        super().__init__()
        self.one = controls.button("One nonce for both", lambda: self.encrypt(True), tip="Encrypt anew: the mistake")
        self.two = controls.button("A fresh nonce for each", lambda: self.encrypt(False), tip="Encrypt anew: the cure")
        self.nonces, self.drawing = controls.say(kind="note"), controls.say(kind="picture")
        head = controls.say(controls.heading("Two bitmaps, AES-256-GCM", "a fresh key each time"))
        self.show(head, controls.row(self.one, self.two), self.nonces, self.drawing)
        self.encrypt(reuse)

    def encrypt(self, reuse: bool) -> None:
        """Encrypt both bitmaps under a fresh key, with one nonce for both or with one for each."""
        self.reuse = reuse
        first = os.urandom(12)
        second = first if reuse else os.urandom(12)
        drawn, betrayed = _drawn(os.urandom(32), first, second)
        for button, chosen in ((self.one, reuse), (self.two, not reuse)):
            (button.add_class if chosen else button.remove_class)("kms-primary")
        self.nonces.value = f"first nonce <code>{first.hex()}</code>, second nonce <code>{second.hex()}</code>"
        self.drawing.value = drawn.svg
        agree = f"{betrayed:,} of {_PIXELS:,} pixels of the XOR are those of key XOR lock"
        self.say(f"{agree}: {'all of them, and no key was needed' if reuse else 'as many as by tossing a coin'}.")

    def still(self) -> dict[str, str]:
        """The choice that is made, drawn under a fixed key, so that it is the same picture each time."""
        return {"image/svg+xml": self._fixed().svg}

    def _fixed(self) -> pictures.Picture:
        return _drawn(bytes(range(32)), bytes(12), bytes(12) if self.reuse else bytes(range(12)))[0]

    def __repr__(self) -> str:
        return f"<NonceReuse, {'one nonce for both' if self.reuse else 'a fresh nonce for each'}: {self._fixed()}>"


def _drawn(key: bytes, first_nonce: bytes, second_nonce: bytes) -> tuple[pictures.Picture, int]:
    """The two ciphertexts and their XOR, and in how many pixels that is the XOR of the plaintexts."""
    cipher = AESGCM(key)
    first = cipher.encrypt(first_nonce, pictures.KEY, None)[:-_TAG_SIZE]
    second = cipher.encrypt(second_nonce, pictures.LOCK, None)[:-_TAG_SIZE]
    both, plain = _xor(first, second), _xor(pictures.KEY, pictures.LOCK)
    drawn = pictures.bitmaps({"the key, encrypted": first, "the lock, encrypted": second, "first XOR second": both})
    return drawn, _PIXELS - int.from_bytes(_xor(both, plain)).bit_count()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
