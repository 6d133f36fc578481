"""`Key`: one key of one backend, to be used and never read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kmskit.algorithms import SPECS, Algorithm, Spec, choose
from kmskit.backend import Backend, Context, operation
from kmskit.batch import Batch, Outcome
from kmskit.context import canonical
from kmskit.errors import InvalidSignatureError, KmsError, UnsupportedError
from kmskit.keyview import KeyView
from kmskit.names import check_alias, check_bytes, check_tags, strip_alias_prefix
from kmskit.progress import Progress, track
from kmskit.types import Buffer, DataKey, KeyInfo, KeyUsage, Signature

if TYPE_CHECKING:
    from kmskit.kms import Kms

__all__ = ["Key", "UnopenedKey"]

_ENCRYPT, _SIGN, _MAC = KeyUsage.ENCRYPT_DECRYPT, KeyUsage.SIGN_VERIFY, KeyUsage.GENERATE_VERIFY_MAC
_DELETION_DAYS = range(7, 367)
_DATA_KEY_LENGTHS = range(1, 1025)


class Key(KeyView):
    """One key. Made by `Kms.create_key`, `Kms.import_key`, `Kms.key`, `Kms.keys` or `kmskit.open_key`.

    The properties are a snapshot: of the time it was made, of `refresh()`, or of this object's last call that changed
    the key. A Key pickles as its URI, without any secret, and opens again on first use.

    Every method raises KeyStateError when the key's state does not allow it, KeyNotFoundError when the key is gone,
    UnsupportedError when its spec or usage does not offer it, and AccessDeniedError, AuthenticationError or
    ServiceUnavailableError when the backend cannot be used.

    Attributes:
        id: globally unique.
        kms: the Kms it belongs to.
    """

    id: str
    kms: Kms
    _backend: Backend
    _spec: Spec

    def __init__(self, kms: Kms, key_id: str, backend: Backend, info: KeyInfo) -> None:
        self.kms = kms
        self.id = key_id
        self._backend, self._info, self._spec = backend, info, SPECS[info.spec]

    def __reduce__(self) -> tuple[object, ...]:
        return (UnopenedKey, (self.kms, self.id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and (self.kms.backend, self.id) == (other.kms.backend, other.id)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def backend(self) -> str:
        """The name of the backend it belongs to."""
        return self.kms.backend

    @property
    def uri(self) -> str:
        """The key's URI for `kmskit.open_key`. It holds no secret."""
        return self._backend.key_uri(self.id)

    # Encryption. `encrypt`, `decrypt`, `sign`, `mac` and `verify_mac` are written out and not decorated: they are
    # everyone's first loop, and the decorator's call costs a tenth of theirs and more.

    def encrypt(self, plaintext: Buffer, *, context: Context = None, algorithm: str | None = None) -> bytes:
        """Encrypt a small plaintext (`kms.supports(spec, "encrypt").max_bytes`).

        Args:
            plaintext: the bytes; may be empty.
            context: text pairs that are authenticated, not stored: `decrypt` must be given the same.
            algorithm: for RSA keys `RSAES_OAEP_SHA_256` (default) or `RSAES_OAEP_SHA_1`.

        Raises:
            LimitExceededError: too large; use `kmskit.envelope`.
            UnsupportedError: also for a context with an RSA key: RSA-OAEP cannot bind one.
        """
        try:
            if type(plaintext) is not bytes:
                plaintext = check_bytes("plaintext", plaintext)
            chosen = None if algorithm is None and self._spec.symmetric else self._for_encryption(context, algorithm)
            return self._backend.encrypt(self.id, plaintext, context, chosen)
        except KmsError as error:
            error.located(self.kms.backend, "encrypt")
            raise

    def decrypt(self, ciphertext: Buffer, *, context: Context = None, algorithm: str | None = None) -> bytes:
        """Decrypt what `encrypt` returned, under whichever version of this key made it.

        Raises:
            InvalidCiphertextError: tampered with, of another key, or with another context.
        """
        try:
            if type(ciphertext) is not bytes:
                ciphertext = check_bytes("ciphertext", ciphertext)
            chosen = None if algorithm is None and self._spec.symmetric else self._for_encryption(context, algorithm)
            return self._backend.decrypt(self.id, ciphertext, context, chosen)
        except KmsError as error:
            error.located(self.kms.backend, "decrypt")
            raise

    @operation("reencrypt")
    def reencrypt(self, ciphertext: Buffer, *, to: Key, context: Context = None, new_context: Context = None) -> bytes:
        """Decrypt under this key and encrypt under `to`: inside the backend where both keys are in one.

        Args:
            ciphertext: what this key's `encrypt` returned.
            to: the other key; this key itself moves the ciphertext to the primary version.
            context: the ciphertext's context.
            new_context: the context of the result; it is not taken over from `context`.

        Raises:
            InvalidCiphertextError: as for `decrypt`.
        """
        ciphertext = check_bytes("ciphertext", ciphertext)
        if not isinstance(to, Key):
            raise TypeError(f"to: a Key expected, not {type(to).__name__}")
        if to.kms is not self.kms:
            return to.encrypt(self.decrypt(ciphertext, context=context), context=new_context)
        self._for_encryption(context, None)
        to._for_encryption(new_context, None)
        return self._backend.reencrypt(self.id, ciphertext, context, to.id, new_context)

    @operation("encrypt")
    def encrypt_many(self, items: Iterable[Buffer], *, context: Context = None, progress: Progress = False) -> Batch:
        """Encrypt each item under one context. An item that fails does not cost the others.

        Args:
            items: plaintexts.
            context: the same for all.
            progress: True for a progress bar, or a function `(done, total)`.
        """
        checked = self._batch(items, context)
        with track(progress, len(checked), "item") as advance:
            return self._outcomes(self._backend.encrypt_many(self.id, checked, context, advance), "encrypt")

    @operation("decrypt")
    def decrypt_many(self, items: Iterable[Buffer], *, context: Context = None, progress: Progress = False) -> Batch:
        """Decrypt each item under one context. An item that fails does not cost the others."""
        checked = self._batch(items, context)
        with track(progress, len(checked), "item") as advance:
            return self._outcomes(self._backend.decrypt_many(self.id, checked, context, advance), "decrypt")

    # Signatures

    def sign(self, message: Buffer, *, algorithm: str | None = None) -> Signature:
        """Sign a message of any size; it is hashed first, as the algorithm says.

        Args:
            message: the bytes.
            algorithm: for RSA keys `RSA_PSS_SHA_256` (default) or `RSA_PKCS1_SHA_256`.
        """
        try:
            if type(message) is not bytes:
                message = check_bytes("message", message)
            return self._backend.sign(self.id, message, self._choose(_SIGN, algorithm))
        except KmsError as error:
            error.located(self.kms.backend, "sign")
            raise

    @operation("sign")
    def sign_digest(self, digest: Buffer, *, algorithm: str | None = None) -> Signature:
        """Sign a digest that was computed elsewhere.

        Raises:
            ValueError: not the digest's length for this algorithm.
            UnsupportedError: Ed25519 signs messages only.
        """
        chosen = self._choose(_SIGN, algorithm)
        return self._backend.sign_digest(self.id, _check_digest(digest, chosen), chosen)

    @operation("verify")
    def verify(self, message: Buffer, signature: Buffer | Signature, *, algorithm: str | None = None) -> None:
        """Return None if the signature belongs to this message and key.

        Raises:
            InvalidSignatureError: it does not; or it names an algorithm that is not this key's or not `algorithm`.
        """
        value, chosen = self._signature(signature, algorithm)
        self._backend.verify(self.id, check_bytes("message", message), value, chosen)

    @operation("verify")
    def verify_digest(self, digest: Buffer, signature: Buffer | Signature, *, algorithm: str | None = None) -> None:
        """`verify` for a digest that was computed elsewhere.

        Raises:
            InvalidSignatureError: as for `verify`.
            ValueError: not the digest's length for this algorithm.
        """
        value, chosen = self._signature(signature, algorithm)
        self._backend.verify_digest(self.id, _check_digest(digest, chosen), value, chosen)

    @operation("verify")
    def public_key(self, version: str | None = None) -> Any:
        """The public half as a pyca/cryptography object: verify without the backend, or hand it out.

        Args:
            version: a version's id; the primary version if left out.
        """
        if not self._spec.asymmetric:
            raise UnsupportedError(f"an {self.spec} key has no public half", hint="RSA, EC and ED25519 keys have one")
        return self._backend.public_key(self.id, version)

    # MACs

    def mac(self, message: Buffer) -> bytes:
        """The HMAC of a message (FIPS 198-1), as long as the digest."""
        try:
            if type(message) is not bytes:
                message = check_bytes("message", message)
            return self._backend.mac(self.id, message, self._choose(_MAC, None))
        except KmsError as error:
            error.located(self.kms.backend, "mac")
            raise

    def verify_mac(self, message: Buffer, tag: Buffer) -> None:
        """Return None if the tag belongs to this message and key; compared in constant time.

        Raises:
            InvalidMacError: it does not.
        """
        try:
            if type(message) is not bytes:
                message = check_bytes("message", message)
            self._backend.verify_mac(self.id, message, check_bytes("tag", tag), self._choose(_MAC, None))
        except KmsError as error:
            error.located(self.kms.backend, "mac")
            raise

    # Data keys

    @operation("data_key")
    def generate_data_key(self, length: int = 32, *, context: Context = None) -> DataKey:
        """A fresh random key, in the clear and wrapped under this key.

        Args:
            length: bytes, 1 to 1,024.
            context: authenticated with the wrapped key; needed again to open it.
        """
        self._only_symmetric("data_key")
        if not isinstance(length, int) or isinstance(length, bool):
            raise TypeError(f"length: a number of bytes expected, not {type(length).__name__}")
        if length not in _DATA_KEY_LENGTHS:
            raise ValueError(f"length: 1 to 1,024 bytes expected, not {length}")
        return DataKey(*self._backend.generate_data_key(self.id, length, context))

    @operation("data_key")
    def decrypt_data_key(self, ciphertext: Buffer, *, context: Context = None) -> DataKey:
        """Open a wrapped data key.

        Raises:
            InvalidCiphertextError: as for `decrypt`.
        """
        self._only_symmetric("data_key")
        wrapped = bytes(check_bytes("ciphertext", ciphertext))
        return DataKey(self._backend.decrypt_data_key(self.id, wrapped, context), wrapped)

    @operation("data_key")
    def wrap_data_key(self, data_key: Buffer, *, context: Context = None) -> bytes:
        """Wrap a data key that was made elsewhere, so that `decrypt_data_key` opens it: for a second recipient.

        Args:
            data_key: 1 to 1,024 bytes.
            context: as for `generate_data_key`.
        """
        self._only_symmetric("data_key")
        data_key = check_bytes("data_key", data_key)
        if len(data_key) not in _DATA_KEY_LENGTHS:
            raise ValueError(f"data_key: 1 to 1,024 bytes expected, not {len(data_key)}")
        return self._backend.wrap_data_key(self.id, data_key, context)

    def wrapped_size(self, length: int = 32) -> int:
        """How many bytes a wrapped data key of `length` bytes has. No request is made."""
        return self._backend.wrapped_size(length)

    @operation("data_key")
    def check_usable(self) -> None:
        """Raise if it is known here, without a request, that the key may not be used; local backends know."""
        self._backend.check_usable(self.id)

    # Lifecycle

    @operation("describe")
    def refresh(self) -> None:
        """Read the properties anew."""
        self._info = self._backend.describe(self.id)

    @operation("rotate")
    def rotate(self) -> None:
        """Make a new primary version. Older versions go on decrypting what they encrypted."""
        self._only_symmetric("rotate")
        self._info = self._backend.rotate(self.id)

    @operation("rotate")
    def set_rotation(self, period: timedelta | None) -> None:
        """Rotate by itself each time `period` has passed; None stops that."""
        self._only_symmetric("rotate")
        if period is not None and not isinstance(period, timedelta):
            raise TypeError(f"period: a timedelta or None expected, not {type(period).__name__}")
        if period is not None and period <= timedelta():
            raise ValueError("period: a positive timedelta expected")
        self._info = self._backend.set_rotation(self.id, period)

    @operation("enable")
    def enable(self) -> None:
        """Allow use again after `disable`."""
        self._info = self._backend.enable(self.id)

    @operation("disable")
    def disable(self) -> None:
        """Refuse every use until `enable`."""
        self._info = self._backend.disable(self.id)

    @operation("schedule_deletion")
    def schedule_deletion(self, days: int) -> None:
        """Refuse every use from now on, and let `kms.purge()` destroy the key once the days are over.

        Args:
            days: 7 to 366.
        """
        if not isinstance(days, int) or isinstance(days, bool):
            raise TypeError(f"days: a whole number expected, not {type(days).__name__}")
        if days not in _DELETION_DAYS:
            raise ValueError(f"days: 7 to 366 expected, not {days}")
        self._info = self._backend.schedule_deletion(self.id, days)

    @operation("cancel_deletion")
    def cancel_deletion(self) -> None:
        """Take a scheduled deletion back; the key is disabled or enabled as it was before."""
        self._info = self._backend.cancel_deletion(self.id)

    @operation("add_alias")
    def add_alias(self, name: str) -> None:
        """Give the key one more alias.

        Raises:
            AlreadyExistsError: another key has it.
        """
        self._info = self._backend.add_alias(self.id, check_alias(name))

    @operation("remove_alias")
    def remove_alias(self, name: str) -> None:
        """Take an alias away; the key stays.

        Raises:
            KeyNotFoundError: the key has no such alias.
        """
        self._info = self._backend.remove_alias(self.id, strip_alias_prefix(name))

    @operation("update")
    def update(self, *, description: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        """Change the description, or replace all tags; None leaves as it is."""
        if description is not None and not isinstance(description, str):
            raise TypeError(f"description: text expected, not {type(description).__name__}")
        self._info = self._backend.update(self.id, description, None if tags is None else check_tags(tags))

    @operation("export")
    def export_material(self) -> dict[str, bytes]:
        """The secret itself, version by version, of a key that was created or imported as `exportable`.

        Returns:
            version id -> the secret's bytes (AES, SM4, HMAC) or PKCS#8 DER, oldest first.

        Raises:
            UnsupportedError: the key was not made exportable; that is never changed later.
        """
        if not self._info.exportable:
            raise UnsupportedError(
                "this key was not made exportable, and that cannot be changed",
                hint="create_key(..., exportable=True) makes one that is",
            )
        return self._backend.export_material(self.id)

    # Checks

    def _choose(self, usage: KeyUsage, algorithm: str | None) -> Algorithm:
        if self._info.usage is not usage:
            raise UnsupportedError(
                f"this key is for {self._info.usage}, not for {usage}",
                hint=f"create another key with usage={usage.value!r}: one key has one purpose",
            )
        return choose(self._spec, usage, algorithm)

    def _for_encryption(self, context: Context, algorithm: str | None) -> Algorithm:
        chosen = self._choose(_ENCRYPT, algorithm)
        if not self._spec.symmetric and canonical(context):
            raise UnsupportedError(
                f"an {self.spec} key cannot bind a context: RSA-OAEP has no place for one",
                hint="encrypt under an AES_256 key, or leave the context out",
            )
        return chosen

    def _only_symmetric(self, wanted: str) -> None:
        if self._spec.symmetric:
            return
        hints = {
            "rotate": "make a new key and move the alias to it: old signatures must go on verifying",
            "data_key": "wrap data keys under an AES_256 key",
        }
        raise UnsupportedError(f"an {self.spec} key does not offer {wanted}", hint=hints[wanted])

    def _batch(self, items: Iterable[Buffer], context: Context) -> list[Buffer]:
        if isinstance(items, str | bytes | bytearray | memoryview):
            raise TypeError(f"items: a list of bytes expected, not one {type(items).__name__}")
        self._for_encryption(context, None)
        canonical(context)
        return [
            item if type(item) is bytes else check_bytes(f"items[{index}]", item) for index, item in enumerate(items)
        ]

    def _outcomes(self, outcomes: list[Outcome], wanted: str) -> Batch:
        for outcome in outcomes:
            if outcome.error is not None:
                outcome.error.located(self.kms.backend, wanted)
        return Batch(outcomes)

    def _signature(self, signature: Buffer | Signature, algorithm: str | None) -> tuple[bytes, Algorithm]:
        chosen = self._choose(_SIGN, algorithm)
        if not isinstance(signature, Signature):
            return bytes(check_bytes("signature", signature)), chosen
        if algorithm is None and signature.algorithm in self._spec.algorithms[_SIGN]:
            chosen = choose(self._spec, _SIGN, signature.algorithm)
        if signature.algorithm != chosen.name:
            raise InvalidSignatureError(
                f"the signature names {signature.algorithm}, and {chosen.name} was expected",
                hint="a verifier decides which algorithm it takes, not the signature",
            )
        return signature.value, chosen


class UnopenedKey(Key):
    """A Key made from its id alone, as unpickling makes it. It opens on first use.

    A class of its own, because `__getattr__` makes every attribute of a class slower to read, whether it is there or
    not. Once open it becomes what `kms.key()` makes.
    """

    def __init__(self, kms: Kms, key_id: str) -> None:
        self.kms = kms
        self.id = key_id

    def __getattr__(self, name: str) -> Any:
        if name not in ("_backend", "_info", "_spec"):
            raise AttributeError(f"a Key has no attribute {name!r}")
        opened = self.kms.key(self.id)
        vars(self).update(vars(opened))
        self.__class__ = type(opened)  # type: ignore[assignment]
        return vars(self)[name]


def _check_digest(digest: Buffer, algorithm: Algorithm) -> Buffer:
    if not algorithm.digest_size:
        raise UnsupportedError(
            f"{algorithm.name} signs messages, not digests", hint="sign(message); it hashes inside, twice (RFC 8032)"
        )
    digest = check_bytes("digest", digest)
    if len(digest) != algorithm.digest_size:
        raise ValueError(f"digest: {algorithm.digest_size} bytes expected for {algorithm.name}, not {len(digest)}")
    return digest
