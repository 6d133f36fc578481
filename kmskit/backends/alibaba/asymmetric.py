"""RSA and EC keys in the service: calls that name a version and an algorithm.

A version's results are plain standard bytes: OAEP and PSS as in RFC 8017, ECDSA signatures in DER.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kmskit import refusals
from kmskit.algorithms import Algorithm, Spec
from kmskit.backends.alibaba import wire
from kmskit.backends.alibaba.keyinfo import Call
from kmskit.errors import AccessDeniedError, InvalidCiphertextError, KmsError, UnsupportedError
from kmskit.types import Buffer, Signature

__all__ = ["KeyPair", "digest_of"]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One key.

    Attributes:
        id: or an ARN, if the key was opened by that.
        versions: oldest first; the last one encrypts and signs.
    """

    id: str
    spec: Spec
    versions: tuple[str, ...]

    @property
    def version(self) -> str:
        if self.versions:
            return self.versions[-1]
        raise AccessDeniedError(
            "a call with this key names its version, and this user may not list versions",
            hint="pass version= to kms.key(); whoever may describe the key finds it in key.primary_version",
        )

    def parameters(self, algorithm: Algorithm | None = None, version: str | None = None) -> dict[str, str]:
        found = {"KeyId": self.id, "KeyVersionId": version or self.version}
        return found if algorithm is None else found | {"Algorithm": str(algorithm.alibaba)}

    def encrypt(self, call: Call, plaintext: Buffer, algorithm: Algorithm) -> bytes:
        limit = self.spec.max_plaintext(algorithm) or 0
        if len(plaintext) > limit:
            raise refusals.too_large(len(plaintext), f"{self.spec.name} with {algorithm.name}", limit)
        answer = call("AsymmetricEncrypt", self.parameters(algorithm) | {"Plaintext": wire.base64_text(plaintext)})
        return wire.from_base64(answer.get("CiphertextBlob")) or b""

    def decrypt(self, call: Call, ciphertext: Buffer, algorithm: Algorithm) -> bytes:
        if len(ciphertext) * 8 != self.spec.bits:
            raise refusals.unopened()
        blob = wire.base64_text(ciphertext)
        answer = self._try_versions(
            lambda version: call("AsymmetricDecrypt", self.parameters(algorithm, version) | {"CiphertextBlob": blob})
        )
        plaintext = wire.from_base64(answer.get("Plaintext"))
        if plaintext is None:
            raise refusals.unopened()
        return plaintext

    def _try_versions(self, attempt: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """The answer of the newest version that gives one. Nearly all keys have one version, and ask once."""
        problem: InvalidCiphertextError | None = None
        for version in reversed(self.versions or (self.version,)):
            try:
                return attempt(version)
            except InvalidCiphertextError as error:
                problem = problem or error
        raise problem or refusals.unopened()

    def sign(self, call: Call, digest: Buffer, algorithm: Algorithm) -> Signature:
        answer = call("AsymmetricSign", self.parameters(algorithm) | {"Digest": wire.base64_text(digest)})
        value = wire.from_base64(answer.get("Value")) or b""
        return Signature(value, str(answer.get("KeyId")), str(answer.get("KeyVersionId")), algorithm.name)

    def verify(self, call: Call, digest: Buffer, signature: bytes, algorithm: Algorithm) -> None:
        if not signature or (self.spec.family == "RSA" and len(signature) * 8 != self.spec.bits):
            signature = bytes(self.spec.bits // 8)  # Asked all the same, because the key's state is looked at first.
        texts = {"Digest": wire.base64_text(digest), "Value": wire.base64_text(signature)}
        problem: KmsError | None = None
        for version in reversed(self.versions or (self.version,)):
            try:
                if call("AsymmetricVerify", self.parameters(algorithm, version) | texts).get("Value") is True:
                    return
            except UnsupportedError as error:
                if error.code != "InvalidParameter":  # Which is what bytes that are no signature may be.
                    raise
                problem = problem or error
        refusal = refusals.wrong_signature()
        if problem is not None:
            refusal.code, refusal.request_id = problem.code, problem.request_id
        raise refusal


def digest_of(message: Buffer, algorithm: Algorithm) -> bytes:
    return hashlib.new(str(algorithm.digest), message).digest()
