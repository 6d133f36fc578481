"""Other people's libraries as careful programs use them, each a `Library`. They are imported when they are measured."""

from __future__ import annotations

import io
import os
import shutil
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from importlib import import_module
from typing import Any
from unittest.mock import patch

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from kmskit import softhsm
from kmskit.bench.measure import Work

__all__ = ["PythonPkcs11", "aws", "fernet", "jwcrypto", "pyrage", "sdk", "tink"]


def fernet(spec: str, message: bytes) -> Mapping[str, Work]:
    cipher = Fernet(Fernet.generate_key())
    return {"encrypt": partial(cipher.encrypt, message), "decrypt": partial(cipher.decrypt, cipher.encrypt(message))}


def jwcrypto(spec: str, message: bytes) -> Mapping[str, Work]:
    """A compact JWE with AES-256-GCM under a shared key."""
    jwe, head = import_module("jwcrypto.jwe"), '{"alg":"dir","enc":"A256GCM"}'
    key = import_module("jwcrypto.jwk").JWK.generate(kty="oct", size=256)

    def encrypt() -> Any:
        return jwe.JWE(message, head, recipient=key).serialize(compact=True)

    def decrypt(token: Any = encrypt()) -> Any:  # noqa: B008 (made once)
        read = jwe.JWE()
        read.deserialize(token, key)
        return read.payload

    return {"encrypt": encrypt, "decrypt": decrypt}


def tink(spec: str, message: bytes) -> Mapping[str, Work]:
    """AES-256-GCM, and streams in segments of 1 MiB. Its key is there in the clear."""
    library, aead, streaming = (import_module(name) for name in ("tink", "tink.aead", "tink.streaming_aead"))
    aead.register()
    streaming.register()
    template = streaming.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    cipher = library.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
    streams = library.new_keyset_handle(template).primitive(streaming.StreamingAead)

    class Kept(io.BytesIO):
        def close(self) -> None:  # Tink closes what it writes to.
            pass

    def envelope() -> bytes:
        out = Kept()
        with streams.new_encrypting_stream(out, b"") as stream:
            stream.write(message)
        return out.getvalue()

    def open_envelope(sealed: bytes = envelope()) -> bytes:
        with streams.new_decrypting_stream(io.BytesIO(sealed), b"") as stream:
            return bytes(stream.read())

    encrypt, decrypt = (
        partial(cipher.encrypt, message, b""),
        partial(cipher.decrypt, cipher.encrypt(message, b""), b""),
    )
    return {"encrypt": encrypt, "decrypt": decrypt, "envelope": envelope, "open_envelope": open_envelope}


def pyrage(spec: str, message: bytes) -> Mapping[str, Work]:
    """age: X25519 and ChaCha20-Poly1305."""
    age: Any = import_module("pyrage")
    identity = age.x25519.Identity.generate()
    envelope = partial(age.encrypt, message, [identity.to_public()])
    return {"envelope": envelope, "open_envelope": partial(age.decrypt, envelope(), [identity])}


def aws(spec: str, message: bytes, frame_length: int = 4096) -> Mapping[str, Work]:
    """aws-encryption-sdk with a raw AES keyring, and the suite that kmskit takes."""
    sdk, library = import_module("aws_encryption_sdk"), "aws_cryptographic_material_providers.mpl"
    config, models = import_module(f"{library}.config"), import_module(f"{library}.models")
    providers = import_module(library).AwsCryptographicMaterialProviders(config=config.MaterialProvidersConfig())
    wrapping = models.AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16
    secret = {"key_namespace": "bench", "key_name": "aws", "wrapping_key": os.urandom(32), "wrapping_alg": wrapping}
    keyring = providers.create_raw_aes_keyring(input=models.CreateRawAesKeyringInput(**secret))
    client = sdk.EncryptionSDKClient(commitment_policy=sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    suite = sdk.identifiers.AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY

    def envelope() -> Any:
        return client.encrypt(source=message, keyring=keyring, algorithm=suite, frame_length=frame_length)[0]

    def open_envelope(sealed: Any = envelope()) -> Any:  # noqa: B008 (made once)
        return client.decrypt(source=sealed, keyring=keyring)[0]

    return {"envelope": envelope, "open_envelope": open_envelope}


class PythonPkcs11:
    """python-pkcs11 and PyKCS11, logged in once, with the only key of each type that a token has.

    They have SoftHSM a second and a third time in this process: copies, since a library is loaded once.
    """

    def __init__(self, token: softhsm.Token, stack: ExitStack) -> None:
        self._api, self._label, pin = import_module("pkcs11"), token.label, token.pin_path.read_text().strip()
        paths = [str(shutil.copy(softhsm.module_path(), token.folder / name)) for name in ("python.so", "pykcs11.so")]
        with patch.dict(os.environ, SOFTHSM2_CONF=str(token.folder / "softhsm2.conf")):
            library = self._api.lib(paths[0])
            self._other = import_module("PyKCS11").PyKCS11Lib()
            self._other.load(paths[1])
        stack.callback(self._other.unload)
        stack.callback(library.finalize)
        (self._token,) = library.get_tokens(token_label=token.label)
        self._session = stack.enter_context(self._token.open(user_pin=pin))
        (slot,) = (
            s for s in self._other.getSlotList(True) if self._other.getTokenInfo(s).label.strip("\0 ") == token.label
        )
        self._other_session = self._other.openSession(slot)
        self._other_session.login(pin)

    def kept(self, spec: str, message: bytes) -> Mapping[str, Work]:
        """With a session and keys that are kept."""
        api, key = self._api, self._key(self._session, spec)
        if spec == "AES_256":
            iv, body = self._encrypt(key, message)
            how = {"mechanism": api.Mechanism.AES_GCM, "mechanism_param": api.GCMParams(iv, b"", 128)}
            return {"encrypt": partial(self._encrypt, key, message), "decrypt": partial(key.decrypt, body, **how)}
        if spec == "RSA_2048":
            pss = (api.Mechanism.SHA256, api.MGF.SHA256, 32)
            how = {"mechanism": api.Mechanism.RSA_PKCS_PSS, "mechanism_param": pss}
            return {"sign": lambda: key.sign(sha256(message).digest(), **how)}

        def sign() -> bytes:
            value = key.sign(sha256(message).digest(), mechanism=api.Mechanism.ECDSA)
            return encode_dss_signature(int.from_bytes(value[:32]), int.from_bytes(value[32:]))

        return {"sign": sign}

    def anew(self, spec: str, message: bytes) -> Mapping[str, Work]:
        """Nothing is kept but the login, which would take it a hundred times longer."""

        def encrypt() -> object:
            with self._token.open() as session:
                return self._encrypt(self._key(session, spec), message)

        return {"encrypt": encrypt}

    def pykcs11(self, spec: str, message: bytes) -> Mapping[str, Work]:
        api, session = import_module("PyKCS11"), self._other_session
        (key,) = session.findObjects([(api.CKA_CLASS, api.CKO_SECRET_KEY), (api.CKA_KEY_TYPE, api.CKK_AES)])

        def encrypt() -> object:
            iv = os.urandom(12)
            return iv, bytes(session.encrypt(key, message, api.AES_GCM_Mechanism(iv, b"", 128)))

        return {"encrypt": encrypt}

    def _key(self, session: Any, spec: str) -> Any:
        kind = self._api.ObjectClass.SECRET_KEY if spec == "AES_256" else self._api.ObjectClass.PRIVATE_KEY
        return session.get_key(object_class=kind, key_type=self._api.KeyType[spec.partition("_")[0]])

    def _encrypt(self, key: Any, message: bytes) -> tuple[bytes, bytes]:
        iv, mechanism = os.urandom(12), self._api.Mechanism.AES_GCM
        return iv, key.encrypt(message, mechanism=mechanism, mechanism_param=self._api.GCMParams(iv, b"", 128))


def sdk(environment: Mapping[str, str], key_id: str, spec: str, message: bytes) -> Mapping[str, Work]:
    """The vendor's client as its documents use it: a request object in, an answer object out, base64 in between."""
    models = import_module("alibabacloud_kms20160120.models")
    config = import_module("alibabacloud_tea_openapi.models").Config(
        access_key_id=environment["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        endpoint=environment["KMSKIT_SHARED_ENDPOINT"],
        ca=environment["KMSKIT_SHARED_CA"],
    )
    client = import_module("alibabacloud_kms20160120.client").Client(config)

    def encrypt() -> bytes:
        request = models.EncryptRequest(key_id=key_id, plaintext=b64encode(message).decode())
        return bytes(client.encrypt(request).body.ciphertext_blob.encode())

    def decrypt(ciphertext: bytes = encrypt()) -> bytes:
        answer = client.decrypt(models.DecryptRequest(ciphertext_blob=ciphertext.decode()))
        return b64decode(answer.body.plaintext)

    return {"encrypt": encrypt, "decrypt": decrypt}
