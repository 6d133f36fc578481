"""What a message is encrypted with, and how a reader comes to its data key."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kmskit.context import canonical
from kmskit.envelope.cache import DataKeyCache
from kmskit.envelope.header import PUBLIC_KEY_NAME, SIGNED_SUITE, SUITE, Header, Recipient
from kmskit.envelope.recipients import PROVIDER, Wrapper, title
from kmskit.envelope.suite import DATA_KEY_SIZE
from kmskit.errors import InvalidCiphertextError, KmsError
from kmskit.markup import printable, volatile_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

__all__ = ["Materials", "check_context", "for_encryption", "unwrap", "verification_key"]

_RESERVED_PREFIX = "aws-crypto-"


@dataclass(frozen=True, slots=True)
class Materials:
    """A data key, the recipients that hold it wrapped, the whole context, and for signed messages the signing key."""

    data_key: bytes
    recipients: tuple[Recipient, ...]
    context: Mapping[str, str]
    suite: int
    signing_key: EllipticCurvePrivateKey | None
    wrappers: tuple[Wrapper, ...]

    def check_usable(self) -> None:
        """Raise if a local backend already refuses one of the keys."""
        for wrapper in self.wrappers:
            wrapper.check_usable()

    def __repr__(self) -> str:
        return f"<Materials 0x{self.suite:04x}, {len(self.recipients)} recipient(s)>"


def check_context(context: Mapping[str, str] | None) -> dict[str, str]:
    """A user's context as a dictionary.

    Raises:
        TypeError, ValueError, LimitExceededError: as `kmskit.context.canonical`.
        ValueError: a name that the format keeps for itself.
    """
    canonical(context)
    for name in context or ():
        if name.startswith(_RESERVED_PREFIX):
            raise ValueError(f"context: names beginning with {_RESERVED_PREFIX} are the format's own")
    return dict(context or {})


def for_encryption(
    wrappers: Sequence[Wrapper], context: dict[str, str], signed: bool, cache: DataKeyCache | None, size: int | None
) -> Materials:
    """Fresh materials, or cached ones. A message whose size is not known beforehand is not cached.

    The first recipient's backend generates the data key; the others wrap it.
    """

    def make() -> Materials:
        signing_key, whole = (None, context) if not signed else _new_signing_key(context)
        data_key, first = wrappers[0].generate(whole)
        others = [wrapper.wrap(data_key, whole) for wrapper in wrappers[1:]]
        suite = SIGNED_SUITE if signed else SUITE
        return Materials(bytes(data_key), (first, *others), whole, suite, signing_key, tuple(wrappers))

    if cache is None or size is None:
        return make()
    return cache.materials((tuple(wrapper.identity for wrapper in wrappers), signed, canonical(context)), size, make)


def unwrap(recipients: Sequence[Recipient], context: Mapping[str, str], wrappers: Sequence[Wrapper]) -> bytes:
    """The data key of a message.

    Args:
        recipients: of the message.
        context: all of the message's, with what the format itself put there.
        wrappers: to try.

    Raises:
        InvalidCiphertextError: no recipient matches a given key, or none that matches opens.
        AccessDeniedError, ServiceUnavailableError, ...: a key that matches could not be used, and no other opened it.
    """
    failures: list[tuple[Recipient, KmsError]] = []
    for recipient in recipients:
        for wrapper in wrappers:
            if not wrapper.matches(recipient):
                continue
            try:
                data_key = bytes(wrapper.unwrap(recipient, context))
            except KmsError as error:
                failures.append((recipient, error))
                continue
            if len(data_key) == DATA_KEY_SIZE:
                return data_key
            failures.append((recipient, InvalidCiphertextError("what was wrapped is not 32 bytes")))
    raise _not_opened(failures)


def _not_opened(failures: list[tuple[Recipient, KmsError]]) -> KmsError:
    """The error for a message that no key opened: a key that could not be used outweighs one that did not fit."""
    if not failures:
        return InvalidCiphertextError(
            "none of the given keys is a recipient of this envelope",
            hint="envelope.inspect() shows the recipients; a Kms keeps its keys' ids",
        )
    tried = "; ".join(f"{_shown(recipient)}: {error}" for recipient, error in failures)
    for _, error in failures:
        if not isinstance(error, InvalidCiphertextError):
            kind = type(error)
            return kind(
                f"no recipient could open the envelope ({tried})",
                backend=error.backend,
                operation=error.operation,
                code=error.code,
                request_id=error.request_id,
                hint=error.hint,
                recommend=error.recommend,
                retryable=error.retryable,
            )
    return InvalidCiphertextError(
        f"no recipient could open the envelope ({tried})", hint="its header was changed, or the keys are others"
    )


def _shown(recipient: Recipient) -> str:
    """A recipient's name for an error. It comes from others, so a terminal must not obey it; a key's id is random."""
    name = title(recipient)
    return volatile_text(name) if recipient.provider == PROVIDER else printable(name)


def _new_signing_key(context: dict[str, str]) -> tuple[EllipticCurvePrivateKey, dict[str, str]]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.generate_private_key(ec.SECP384R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return key, {**context, PUBLIC_KEY_NAME: b64encode(point).decode()}


def verification_key(header: Header) -> EllipticCurvePublicKey:
    """The key that verifies a signed message; InvalidCiphertextError if the header holds none."""
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        point = b64decode(header.context[PUBLIC_KEY_NAME], validate=True)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
    except ValueError:
        pass
    raise InvalidCiphertextError("the envelope's context holds no P-384 public key for its signature")
