"""The alibaba backend: the gateways of one URI, and every use of a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Self

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kmskit import refusals
from kmskit.algorithms import ALGORITHMS, Algorithm
from kmskit.assumed import AssumedInfo
from kmskit.backend import Backend, Context, NewKey, Support
from kmskit.backends.alibaba import offer, wire
from kmskit.backends.alibaba.asymmetric import digest_of
from kmskit.backends.alibaba.credentials import CredentialOption, resolve
from kmskit.backends.alibaba.directory import Directory, told
from kmskit.backends.alibaba.endpoints import Endpoints, parse_timeout, require_permission
from kmskit.backends.alibaba.gateway import Gateway
from kmskit.backends.alibaba.lifecycle import Lifecycle
from kmskit.backends.alibaba.offer import MAX_MESSAGE, MAX_PLAINTEXT, InstanceKind
from kmskit.backends.alibaba.threads import Threads
from kmskit.batch import Outcome
from kmskit.errors import (
    AccessDeniedError,
    InvalidCiphertextError,
    KeyNotFoundError,
    KeyStateError,
    KmsError,
    LimitExceededError,
    ServiceUnavailableError,
    UnsupportedError,
)
from kmskit.types import Buffer, KeyFilter, KeyInfo, KeySpec, KeyState, Operation, Signature
from kmskit.uri import Uri

__all__ = ["AlibabaBackend"]

_OAEP = ALGORITHMS["RSAES_OAEP_SHA_256"]
_KEY_IN_ARN = re.compile(r"\bacs:kms:[^:\s]*:[^:\s]*:key/([0-9A-Za-z-]+)")
_NO_BYTES = "\n"
"""The base64 of no bytes is an empty text, which the service takes for a missing parameter. A line break is base64 of
no bytes as well (RFC 2045), and so the SDKs read it."""


class AlibabaBackend(Backend):
    """Keys in Alibaba Cloud KMS."""

    name: ClassVar[str] = "alibaba"

    def __init__(self, endpoints: Endpoints, credential: Any) -> None:
        self.uri = str(endpoints.uri)
        self._endpoints = endpoints
        self._management = Gateway(endpoints.shared, credential, endpoints.timeouts, endpoints.region)
        self._crypto = self._management
        if endpoints.dedicated != endpoints.shared:
            self._crypto = Gateway(endpoints.dedicated, credential, endpoints.timeouts, endpoints.region)
        self._call, self._manage = self._crypto.call, self._management.call
        self._directory = Directory(self._manage, self._call, endpoints.instance)
        self._pairs = self._directory.pairs
        self._lifecycle = Lifecycle(self._manage, self._directory, endpoints.instance)
        self._threads = Threads()
        self._kind: InstanceKind | None = None
        self._kind_is_known = False

    @classmethod
    def open(
        cls,
        uri: Uri,
        /,
        *,
        credential: CredentialOption = None,
        timeout: float | tuple[float, float] | None = None,
    ) -> Self:
        """Make ready to ask the service. Nothing is sent yet.

        Args:
            uri: `alibaba://REGION[?instance=kst-…&ca=FILE]` and the other forms of `endpoints`.
            credential: who signs; see `credentials.CredentialOption`. If left out, the vendor's default chain.
            timeout: seconds to connect and to read; one number for both. It becomes a part of the URI.

        Raises:
            ConfigurationError: the URI, a CA or the credential cannot be used; or it names the real service, and
                KMSKIT_CLOUD=real is not set.
        """
        if timeout is not None:
            text = ",".join(map(str, timeout)) if isinstance(timeout, tuple) else str(timeout)
            parse_timeout(text)
            uri = uri.with_query(timeout=text)
        endpoints = Endpoints.parse(uri)
        require_permission(endpoints.shared, endpoints.dedicated)
        return cls(endpoints, resolve(credential))

    @property
    def calls(self) -> int:  # type: ignore[override]
        """Retries are counted too."""
        more = 0 if self._crypto is self._management else self._crypto.calls
        return self._management.calls + more

    def close(self) -> None:
        self._threads.close()
        self._management.close()
        self._crypto.close()

    # What is there

    def supports(self, spec: KeySpec, operation: Operation, /) -> Support:
        return offer.supports(self._instance_kind(), spec, operation)

    def _instance_kind(self) -> InstanceKind | None:
        """Asked once, where there is an instance and this user may ask."""
        if not self._kind_is_known:
            if self._endpoints.instance is not None:
                with suppress(AccessDeniedError, UnsupportedError, KeyNotFoundError):
                    answer = self._manage("GetKmsInstance", {"KmsInstanceId": self._endpoints.instance})
                    self._kind = offer.kind_of(answer.get("KmsInstance") or {})
            elif self._endpoints.region is not None:
                self._kind = "shared"
            self._kind_is_known = True
        return self._kind

    def describe(self, id_or_alias: str, /) -> KeyInfo:
        return self._directory.describe(id_or_alias)

    def look_up(self, id_or_alias: str, spec: KeySpec | None, version: str | None, /) -> KeyInfo | AssumedInfo:
        return self._directory.look_up(id_or_alias, spec, version)

    def known_id(self, name: str, /) -> str:
        return self._directory.known_id(name)

    def keys(self, wanted: KeyFilter, /) -> Iterator[KeyInfo]:
        return self._directory.keys(wanted)

    def key_of_version(self, version: str, /) -> str | None:
        return self._directory.key_of_version(version)

    # Lifecycle

    def create(self, new: NewKey, /) -> KeyInfo:
        return self._lifecycle.create(new, self._instance_kind())

    def import_key(self, new: NewKey, material: bytes, /) -> KeyInfo:
        return self._lifecycle.import_key(new, material, self._instance_kind())

    def rotate(self, key_id: str, /) -> KeyInfo:
        return self._lifecycle.rotate(key_id)

    def set_rotation(self, key_id: str, period: timedelta | None, /) -> KeyInfo:
        return self._lifecycle.set_rotation(key_id, period)

    def enable(self, key_id: str, /) -> KeyInfo:
        return self._lifecycle.enable(key_id)

    def disable(self, key_id: str, /) -> KeyInfo:
        return self._lifecycle.disable(key_id)

    def schedule_deletion(self, key_id: str, days: int, /) -> KeyInfo:
        return self._lifecycle.schedule_deletion(key_id, days)

    def cancel_deletion(self, key_id: str, /) -> KeyInfo:
        return self._lifecycle.cancel_deletion(key_id)

    def add_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._lifecycle.add_alias(key_id, alias)

    def remove_alias(self, key_id: str, alias: str, /) -> KeyInfo:
        return self._lifecycle.remove_alias(key_id, alias)

    def update(self, key_id: str, description: str | None, tags: Mapping[str, str] | None, /) -> KeyInfo:
        return self._lifecycle.update(key_id, description, tags)

    def purge(self) -> list[str]:
        """Nothing: the service destroys a key itself when its deletion is due, and takes no order to do it."""
        return []

    # Encryption

    def encrypt(self, key_id: str, plaintext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        if key_id in self._pairs or (algorithm is not None and algorithm.padding is not None):
            return self._encrypt_with_pair(key_id, plaintext, algorithm or _OAEP)
        return self._encrypt(key_id, plaintext, wire.context_json(context))

    def _encrypt_with_pair(self, key_id: str, plaintext: Buffer, algorithm: Algorithm) -> bytes:
        pair = self._directory.pair(key_id)
        if len(plaintext):
            return pair.encrypt(self._call, plaintext, algorithm)
        from kmskit.backends.publickey import PublicKey  # The service takes no empty plaintext; its public half does.

        return PublicKey(pair.spec, self.public_key(key_id, None)).encrypt(plaintext, None, algorithm)

    def _encrypt(self, key_id: str, plaintext: Buffer, context: str | None) -> bytes:
        if len(plaintext) > MAX_PLAINTEXT:
            raise refusals.too_large(len(plaintext), "direct encryption", MAX_PLAINTEXT)
        parameters = {"KeyId": self._directory.address(key_id), "Plaintext": wire.base64_text(plaintext) or _NO_BYTES}
        if context is not None:
            parameters["EncryptionContext"] = context
        return self._ciphertext(self._call("Encrypt", parameters))

    @staticmethod
    def _ciphertext(answer: dict[str, Any]) -> bytes:
        blob = answer.get("CiphertextBlob")
        if not isinstance(blob, str) or not blob.isascii():
            raise _unexpected("no ciphertext")
        return blob.encode("ascii")

    def decrypt(self, key_id: str, ciphertext: Buffer, context: Context, algorithm: Algorithm | None, /) -> bytes:
        if key_id in self._pairs or (algorithm is not None and algorithm.padding is not None):
            return self._directory.pair(key_id).decrypt(self._call, ciphertext, algorithm or _OAEP)
        return self._decrypt(key_id, ciphertext, wire.context_json(context))

    def _decrypt(self, key_id: str, ciphertext: Buffer, context: str | None) -> bytes:
        """Decrypt names no key, so the answer's must be this one: else the plaintext is dropped."""
        parameters = {"CiphertextBlob": wire.blob_text(ciphertext)}
        if context is not None:
            parameters["EncryptionContext"] = context
        expected = self._directory.id(key_id)
        try:
            answer = self._call("Decrypt", parameters)
        except (InvalidCiphertextError, KeyStateError, AccessDeniedError) as error:
            problem: KmsError = error
        else:
            if answer.get("KeyId") != expected:
                raise refusals.of_another_version()
            plaintext = wire.from_base64(str(answer.get("Plaintext") or "").strip())
            if plaintext is not None:
                return plaintext
            raise InvalidCiphertextError(
                "the ciphertext holds text that is no base64",
                hint="another program encrypted it without the encoding that the service's documents ask for",
            )
        raise self._judged(expected, problem, parameters["CiphertextBlob"])

    def _judged(self, key_id: str, problem: KmsError, blob: str) -> KmsError:
        """Whether a decryption failed because of this key or because of the bytes, which may be another key's.

        The service looks the key up by the bytes. So `no such key` may be said of bytes that were tampered with, and
        `disabled` or `denied` of another key. The denial names its key; else one look at this key tells, for whoever
        may take it.
        """
        if isinstance(problem, AccessDeniedError):
            named = _KEY_IN_ARN.search(str(problem))
            return told(refusals.of_another_version(), problem) if named and named[1] != key_id else problem
        state: KeyState | None = None
        try:
            state = self._directory.state(key_id)
        except KeyNotFoundError as error:
            return told(error, problem)
        except KmsError:
            return problem
        if state is not KeyState.ENABLED:
            return told(refusals.unusable(state), problem) if isinstance(problem, InvalidCiphertextError) else problem
        # Bytes that name a version of this key were refused for its own sake: it has been enabled since.
        if isinstance(problem, KeyStateError) and not self._directory.has_version(key_id, wire.version_in_blob(blob)):
            return told(refusals.of_another_version(), problem)
        return problem

    def reencrypt(
        self, key_id: str, ciphertext: Buffer, context: Context, to_key_id: str, to_context: Context, /
    ) -> bytes:
        """Inside the service where that can be: the answer names no source, so the bytes' version must be this key's.

        An instance's keys may be closed to the shared gateway, and only that has ReEncrypt: then it is done in two.
        """
        if key_id in self._pairs or to_key_id in self._pairs:
            return super().reencrypt(key_id, ciphertext, context, to_key_id, to_context)
        text, source, target = wire.blob_text(ciphertext), wire.context_json(context), wire.context_json(to_context)
        if self._directory.has_version(key_id, wire.version_in_blob(text)):
            parameters = {"CiphertextBlob": text, "DestinationKeyId": self._directory.address(to_key_id)}
            if source is not None:
                parameters["SourceEncryptionContext"] = source
            if target is not None:
                parameters["DestinationEncryptionContext"] = target
            with suppress(UnsupportedError):
                return self._ciphertext(self._manage("ReEncrypt", parameters))
        return super().reencrypt(key_id, ciphertext, context, to_key_id, to_context)

    def encrypt_many(
        self, key_id: str, items: Sequence[Buffer], context: Context, advance: Callable[[int], object], /
    ) -> list[Outcome]:
        return self._threads.run(lambda item: self.encrypt(key_id, item, context, None), items, advance)

    def decrypt_many(
        self, key_id: str, items: Sequence[Buffer], context: Context, advance: Callable[[int], object], /
    ) -> list[Outcome]:
        return self._threads.run(lambda item: self.decrypt(key_id, item, context, None), items, advance)

    # Data keys

    def generate_data_key(self, key_id: str, length: int, context: Context, /) -> tuple[bytearray, bytes]:
        parameters = {"KeyId": self._directory.address(key_id), "NumberOfBytes": str(length)}
        if (bound := wire.data_key_context(context)) is not None:
            parameters["EncryptionContext"] = bound
        answer = self._call("GenerateDataKey", parameters)
        plaintext = wire.from_base64(answer.get("Plaintext"))
        if plaintext is None or len(plaintext) != length:
            raise _unexpected("no data key of the wanted length")
        return bytearray(plaintext), self._ciphertext(answer)

    def decrypt_data_key(self, key_id: str, ciphertext: Buffer, context: Context, /) -> bytearray:
        return bytearray(self._decrypt(key_id, ciphertext, wire.data_key_context(context)))

    def wrap_data_key(self, key_id: str, data_key: Buffer, context: Context, /) -> bytes:
        return self._encrypt(key_id, data_key, wire.data_key_context(context))

    def wrapped_size(self, length: int, /) -> int:
        """Of a blob in base64, in which the data key stands as base64 in turn."""
        return _base64_size(wire.WRAPPED_OVERHEAD + _base64_size(length))

    # Signatures

    def sign(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> Signature:
        return self._directory.pair(key_id).sign(self._call, digest_of(message, algorithm), algorithm)

    def sign_digest(self, key_id: str, digest: Buffer, algorithm: Algorithm, /) -> Signature:
        return self._directory.pair(key_id).sign(self._call, digest, algorithm)

    def verify(self, key_id: str, message: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._directory.pair(key_id).verify(self._call, digest_of(message, algorithm), signature, algorithm)

    def verify_digest(self, key_id: str, digest: Buffer, signature: bytes, algorithm: Algorithm, /) -> None:
        self._directory.pair(key_id).verify(self._call, digest, signature, algorithm)

    def public_key(self, key_id: str, version: str | None, /) -> Any:
        parameters = self._directory.pair(key_id).parameters(version=version)
        problem: KmsError | None = None
        try:
            answer = self._call("GetPublicKey", parameters)
        except (KeyNotFoundError, UnsupportedError) as error:
            if version is None or error.code not in ("Forbidden.KeyVersionNotFound", "InvalidParameter"):
                raise
            problem = error
        else:
            try:
                return load_pem_public_key(str(answer.get("PublicKey")).encode())
            except ValueError:
                pass
            raise _unexpected("no public key")
        raise told(refusals.no_such_version(str(version)), problem)

    # MACs

    def mac(self, key_id: str, message: Buffer, algorithm: Algorithm, /) -> bytes:
        answer = self._call_for_mac("GenerateMac", self._mac_parameters(key_id, message, algorithm))
        tag = wire.from_base64(answer.get("Mac"))
        if not tag:
            raise _unexpected("no MAC")
        return tag

    def verify_mac(self, key_id: str, message: Buffer, tag: Buffer, algorithm: Algorithm, /) -> None:
        expected = bytes(tag) if len(tag) == algorithm.digest_size else bytes(algorithm.digest_size)
        parameters = self._mac_parameters(key_id, message, algorithm) | {"Mac": wire.base64_text(expected)}
        valid = self._call_for_mac("VerifyMac", parameters).get("Value") is True
        if not valid or len(tag) != algorithm.digest_size:
            raise refusals.wrong_mac()

    def _call_for_mac(self, action: str, parameters: dict[str, str]) -> dict[str, Any]:
        """Whether the service takes a message of no bytes is documented nowhere, so it is asked."""
        try:
            return self._call(action, parameters)
        except UnsupportedError as error:
            if parameters["Message"] or error.code != "MissingParameter":
                raise
            problem = error
        message = "message: the service makes no MAC over no bytes"
        raise told(UnsupportedError(message, hint="put a length or a name in front of what may be empty"), problem)

    def _mac_parameters(self, key_id: str, message: Buffer, algorithm: Algorithm) -> dict[str, str]:
        if len(message) > MAX_MESSAGE:
            raise LimitExceededError(
                f"message: {len(message):,} bytes, and a MAC by the service takes {MAX_MESSAGE:,}",
                limit=MAX_MESSAGE,
                hint="make the MAC over the SHA-256 digest of a large message",
            )
        return {
            "KeyId": self._directory.address(key_id),
            "Algorithm": str(algorithm.alibaba),
            "Message": wire.base64_text(message),
        }


def _base64_size(length: int) -> int:
    return 4 * -(-length // 3)


def _unexpected(what: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the service's answer has {what}", hint="see the endpoint in the URI", retryable=False
    )
