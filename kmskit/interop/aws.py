"""`KmskitKeyring`: the AWS Encryption SDK for Python (4.x) opens our envelopes with it, and writes ones that we open.

    client = aws_encryption_sdk.EncryptionSDKClient()
    keyring = KmskitKeyring([key])
    message, _ = client.encrypt(source=data, keyring=keyring, encryption_context={"table": "orders"})
    kmskit.envelope.decrypt(message, [key]) == data

A keyring wraps and unwraps data keys, and no more. The recipients are those that `kmskit.envelope` writes: provider id
`kmskit`, provider info `scheme:key id`. Raw keys need no keyring of ours, because the SDK has its own for them.

Source: `framework/keyring-interface.md` in the AWS Encryption SDK specification
(github.com/awslabs/aws-encryption-sdk-specification).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kmskit.envelope.header import SIGNED_SUITE, SUITE, Recipient
from kmskit.envelope.materials import unwrap
from kmskit.envelope.recipients import wrappers
from kmskit.errors import KmsError, MissingDependencyError, UnsupportedError
from kmskit.key import Key

try:
    from aws_cryptographic_material_providers.mpl.errors import AwsCryptographicMaterialProvidersException
    from aws_cryptographic_material_providers.mpl.models import EncryptedDataKey, OnDecryptOutput, OnEncryptOutput
    from aws_cryptographic_material_providers.mpl.references import IKeyring
except ImportError as error:
    raise MissingDependencyError(
        "the AWS Encryption SDK is not installed",
        hint="pip install aws-encryption-sdk aws-cryptographic-material-providers",
    ) from error

__all__ = ["KmskitKeyring"]


class KmskitKeyring(IKeyring):  # type: ignore[misc,unused-ignore]
    """Keys as a keyring of the AWS Encryption SDK; any one of them opens what it wrote.

    Both of the SDK's suites with key commitment work: 0x0578, which is its default, and 0x0478. Whatever fails reaches
    the SDK's caller as an AWSEncryptionSDKClientError that says what, and what to do.

    Args:
        keys: up to 8 of any backend.

    Raises:
        TypeError, ValueError, LimitExceededError: as for `envelope.encrypt`.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._wrappers = wrappers(keys)

    def on_encrypt(self, param: Any) -> Any:
        """Called by the SDK: make the data key, unless another keyring did, and wrap it for each key."""
        materials = param.materials
        context = materials.encryption_context
        recipients: list[Recipient] = []
        try:
            _check_suite(materials)
            remaining = list(self._wrappers)
            if materials.plaintext_data_key is None:
                data_key, first = remaining.pop(0).generate(context)
                materials.plaintext_data_key = bytes(data_key)
                recipients.append(first)
            data_key = bytearray(materials.plaintext_data_key)
            recipients += [wrapper.wrap(data_key, context) for wrapper in remaining]
        except KmsError as error:
            raise _told(error) from None
        materials.encrypted_data_keys += [
            EncryptedDataKey(
                key_provider_id=recipient.provider, key_provider_info=recipient.info, ciphertext=recipient.wrapped
            )
            for recipient in recipients
        ]
        return OnEncryptOutput(materials=materials)

    def on_decrypt(self, param: Any) -> Any:
        """Called by the SDK: unwrap the first of the message's wrapped data keys that one of the keys opens."""
        materials = param.materials
        recipients = [
            Recipient(wrapped.key_provider_id, bytes(wrapped.key_provider_info), bytes(wrapped.ciphertext))
            for wrapped in param.encrypted_data_keys
        ]
        try:
            _check_suite(materials)
            materials.plaintext_data_key = unwrap(recipients, materials.encryption_context, self._wrappers)
        except KmsError as error:
            raise _told(error) from None
        return OnDecryptOutput(materials=materials)


def _check_suite(materials: Any) -> None:
    suite = int.from_bytes(materials.algorithm_suite.binary_id)
    if suite not in (SUITE, SIGNED_SUITE):
        raise UnsupportedError(
            f"suite 0x{suite:04x} does not commit to its key, and kmskit neither writes nor reads it",
            hint="leave the client's commitment policy as it is, REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
        )


def _told(error: KmsError) -> AwsCryptographicMaterialProvidersException:
    """Of an error that is not its own the SDK shows nothing, not even the text."""
    hint = f" ({error.hint})" if error.hint else ""
    return AwsCryptographicMaterialProvidersException(message=f"kmskit {type(error).__name__}: {error}{hint}")
