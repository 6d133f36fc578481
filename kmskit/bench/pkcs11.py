"""The pkcs11 backend on SoftHSM beside python-pkcs11 and PyKCS11 without kmskit, with the same keys of the same token.

Each side has an instance of SoftHSM of its own in this process, and python-pkcs11's is told to lock, as kmskit tells
its own: otherwise threads would crash it. In one thread that costs nothing that can be measured.

SoftHSM computes in this process and reads its files from memory, so what one thread does is timed as what the process
computes. Two threads compute twice as much at a time: those rows go by the clock on the wall.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import kmskit
from kmskit import softhsm
from kmskit.bench.folder import folder_in_memory
from kmskit.bench.ratios import Figure, Ratio, compare
from kmskit.context import canonical
from kmskit.uri import parse

__all__ = ["figures", "missing"]

_SOFTHSM_CONF = "SOFTHSM2_CONF"
_CONTEXT = {"tenant": "acme"}
_PEER = "over python-pkcs11"
_Work = Callable[[], object]


def missing() -> str:
    """Which of the parts that the rows need is not here; empty if all are."""
    if find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed"
    try:
        softhsm.module_path()
    except kmskit.ConfigurationError:
        return "SoftHSM is not installed"
    return ""


def figures(keys: int = 400, turns: int = 15) -> Iterator[Figure]:
    """The rows, group by group.

    Args:
        keys: how many the crowded token has; the other one has 4.
        turns: how often each row is measured.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(folder_in_memory())
        tokens = [softhsm.token(folder / name) for name in ("few", "all")]  # Names of one length: files are opened.
        kms, crowded = (stack.enter_context(kmskit.connect(token.uri)) for token in tokens)
        bare, bare_crowded = (stack.enter_context(closing(_PythonPkcs11(token))) for token in tokens)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        aes, p256, rsa = (kms.create_key(spec.lower(), spec=spec) for spec in ("AES_256", "EC_P256", "RSA_2048"))
        kms.create_key("fourth")
        for index in range(keys - 1):
            crowded.create_key(f"key-{index}")
        one_of_many = crowded.create_key("aes_256")
        rows = [*_encryption(aes, bare), *_data_keys(aes, bare), *_signatures(p256, rsa, bare)]
        rows += [*_finding(aes, bare, "4 keys", floor=5), *_finding(one_of_many, bare_crowded, f"{keys} keys")]
        rows += [*_crowd(one_of_many, aes, keys), *_pykcs11(aes, tokens[0], stack)]
        yield from compare(rows, turns)
        yield from compare([*_threads(aes, rsa, bare, pool)], turns)


# The peers


@contextmanager
def _instance(token: softhsm.Token, name: str) -> Iterator[str]:
    """The path of one more SoftHSM: a copy, since a library is loaded once. It is initialised in the block."""
    path, before = shutil.copy(softhsm.module_path(), token.folder / name), os.environ.get(_SOFTHSM_CONF)
    os.environ[_SOFTHSM_CONF] = parse(token.uri).query["x-softhsm2-conf"]
    try:
        yield str(path)
    finally:
        del os.environ[_SOFTHSM_CONF]
        if before is not None:
            os.environ[_SOFTHSM_CONF] = before


def _pin(token: softhsm.Token) -> str:
    return token.pin_path.read_text().strip()


class _PythonPkcs11:
    """python-pkcs11 as a careful program uses it: logged in once, with a session and keys that are kept."""

    def __init__(self, token: softhsm.Token) -> None:
        import pkcs11

        with _instance(token, "python-pkcs11.so") as path:
            library = pkcs11.lib(path)
            library.finalize()
            self._module = ctypes.CDLL(path)
            # CK_C_INITIALIZE_ARGS: no functions of ours for mutexes, CKF_OS_LOCKING_OK, nothing reserved.
            if code := self._module.C_Initialize(ctypes.byref((ctypes.c_ulong * 6)(0, 0, 0, 0, 2, 0))):
                raise RuntimeError(f"C_Initialize: 0x{code:x}")
        self._forget = partial(pkcs11.unload, path)
        (self.token,) = library.get_tokens(token_label=token.label)
        self.session = self.token.open(user_pin=_pin(token))

    def close(self) -> None:
        self.session.close()
        self._module.C_Finalize(None)
        self._forget()


class _Aes:
    """An AES key in a session of python-pkcs11. What kmskit puts into one string, it leaves in two."""

    def __init__(self, session: Any, label: str) -> None:
        import pkcs11

        self._gcm, self._params = pkcs11.Mechanism.AES_GCM, pkcs11.GCMParams
        self._key = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=label)

    def encrypt(self, message: bytes, aad: bytes = b"") -> tuple[bytes, bytes]:
        iv = os.urandom(12)
        return iv, self._key.encrypt(message, mechanism=self._gcm, mechanism_param=self._params(iv, aad, 128))

    def decrypt(self, iv: bytes, body: bytes, aad: bytes = b"") -> bytes:
        message: bytes = self._key.decrypt(body, mechanism=self._gcm, mechanism_param=self._params(iv, aad, 128))
        return message


class _Signer:
    """A private key in a session of python-pkcs11."""

    def __init__(self, session: Any, label: str) -> None:
        import pkcs11

        self._key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
        self._ecdsa, self._pss = pkcs11.Mechanism.ECDSA, pkcs11.Mechanism.RSA_PKCS_PSS
        self._parameters = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, 32)

    def ecdsa(self, message: bytes) -> bytes:
        value = self._key.sign(sha256(message).digest(), mechanism=self._ecdsa)
        return encode_dss_signature(int.from_bytes(value[:32]), int.from_bytes(value[32:]))

    def pss(self, message: bytes) -> bytes:
        digest = sha256(message).digest()
        value: bytes = self._key.sign(digest, mechanism=self._pss, mechanism_param=self._parameters)
        return value


# The rows


def _encryption(key: kmskit.Key, bare: _PythonPkcs11) -> Iterator[Ratio]:
    peer = _Aes(bare.session, key.aliases[0])
    yield from _both_ways(key, peer, 64, "64 B", None, floor=0.9)
    yield from _both_ways(key, peer, 64, "64 B, one context pair", _CONTEXT)
    yield from _both_ways(key, peer, 1 << 10, "1 KiB", None)
    yield from _both_ways(key, peer, 64 << 10, "64 KiB", None)


def _both_ways(
    key: kmskit.Key, peer: _Aes, size: int, name: str, context: dict[str, str] | None, floor: float | None = None
) -> list[Ratio]:
    message, aad = os.urandom(size), canonical(context)
    ciphertext, (iv, body) = key.encrypt(message, context=context), peer.encrypt(message, aad)
    return [
        Ratio(
            f"pkcs11 encrypt {name}, {_PEER}",
            lambda: key.encrypt(message, context=context),
            lambda: peer.encrypt(message, aad),
            floor,
        ),
        Ratio(
            f"pkcs11 decrypt {name}, {_PEER}",
            lambda: key.decrypt(ciphertext, context=context),
            lambda: peer.decrypt(iv, body, aad),
            floor,
        ),
    ]


def _finding(key: kmskit.Key, bare: _PythonPkcs11, keys: str, floor: float | None = None) -> Iterator[Ratio]:
    """The peer keeps nothing but the login, which would take it a hundred times longer."""
    message, label = os.urandom(64), key.aliases[0]
    key.encrypt(message)  # Its first use reads the token, which the time of one call would then be taken to be.

    def peer() -> tuple[bytes, bytes]:
        with bare.token.open() as session:
            return _Aes(session, label).encrypt(message)

    name = f"pkcs11 encrypt 64 B, {_PEER} that opens, finds and closes, {keys}"
    yield Ratio(name, lambda: key.encrypt(message), peer, floor)


def _crowd(one_of_many: kmskit.Key, one_of_few: kmskit.Key, keys: int) -> Iterator[Ratio]:
    message, name = os.urandom(64), f"pkcs11 encrypt 64 B, a token of {keys} keys over one of 4"
    yield Ratio(name, lambda: one_of_many.encrypt(message), lambda: one_of_few.encrypt(message), floor=0.9)


def _signatures(p256: kmskit.Key, rsa: kmskit.Key, bare: _PythonPkcs11) -> list[Ratio]:
    message = os.urandom(1 << 10)
    ecdsa, pss = (_Signer(bare.session, key.aliases[0]) for key in (p256, rsa))
    return [
        Ratio(
            f"pkcs11 sign 1 KiB, ECDSA P-256, {_PEER}",
            lambda: p256.sign(message),
            lambda: ecdsa.ecdsa(message),
            floor=0.9,
        ),
        Ratio(
            f"pkcs11 sign 1 KiB, RSA-2048 PSS, {_PEER}",
            lambda: rsa.sign(message),
            lambda: pss.pss(message),
            floor=0.9,
        ),
    ]


def _data_keys(key: kmskit.Key, bare: _PythonPkcs11) -> Iterator[Ratio]:
    """The peer lets the token make the data key and wrap it; no context can be bound to that."""
    import pkcs11

    aes, wrapping = pkcs11.KeyType.AES, pkcs11.Mechanism.AES_KEY_WRAP
    readable = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
    above: Any = bare.session.generate_key(aes, 256, capabilities=pkcs11.MechanismFlag.WRAP, store=False)

    def peer() -> tuple[bytes, bytes]:
        data_key: Any = bare.session.generate_key(aes, 256, template=readable, store=False)
        both = data_key[pkcs11.Attribute.VALUE], above.wrap_key(data_key, mechanism=wrapping)
        data_key.destroy()
        return both

    yield Ratio(f"pkcs11 generate_data_key, {_PEER} that generates and wraps", key.generate_data_key, peer)


def _pykcs11(key: kmskit.Key, token: softhsm.Token, stack: ExitStack) -> Iterator[Ratio]:
    with suppress(ModuleNotFoundError):
        api = import_module("PyKCS11")
        library = api.PyKCS11Lib()
        with _instance(token, "pykcs11.so") as path:
            library.load(path)
        stack.callback(library.unload)
        slots = library.getSlotList(tokenPresent=True)
        (slot,) = (slot for slot in slots if library.getTokenInfo(slot).label.rstrip("\0 ") == token.label)
        session = library.openSession(slot)
        session.login(_pin(token))
        (handle,) = session.findObjects([(api.CKA_CLASS, api.CKO_SECRET_KEY), (api.CKA_LABEL, key.aliases[0])])
        message = os.urandom(64)

        def peer() -> tuple[bytes, bytes]:
            iv = os.urandom(12)
            return iv, bytes(session.encrypt(handle, message, api.AES_GCM_Mechanism(iv, b"", 128)))

        yield Ratio("pkcs11 encrypt 64 B, over PyKCS11", lambda: key.encrypt(message), peer)


def _threads(aes: kmskit.Key, rsa: kmskit.Key, bare: _PythonPkcs11, pool: ThreadPoolExecutor) -> Iterator[Ratio]:
    """Each thread of the peer has a session of its own; kmskit sees to that itself."""
    sessions = [bare.token.open() for _ in range(2)]
    secrets = [_Aes(session, aes.aliases[0]) for session in sessions]
    signers = [_Signer(session, rsa.aliases[0]) for session in sessions]
    for size, name, times in ((64, "64 B", 1000), (64 << 10, "64 KiB", 200)):
        message = os.urandom(size)
        peers: list[_Work] = [partial(secret.encrypt, message) for secret in secrets]
        yield from _two_threads(f"encrypt {name}", times, partial(aes.encrypt, message), peers, pool)
    message = os.urandom(1 << 10)
    peers = [partial(signer.pss, message) for signer in signers]
    yield from _two_threads("sign 1 KiB, RSA-2048 PSS,", 20, partial(rsa.sign, message), peers, pool)


def _two_threads(
    name: str, times: int, ours: _Work, peers: Sequence[_Work], pool: ThreadPoolExecutor
) -> Iterator[Ratio]:
    def together(works: Sequence[_Work]) -> None:
        for _ in pool.map(_repeat, works, [times // len(works)] * len(works)):
            pass

    for peer, others in ((f"{_PEER} on 2", peers), ("over 1 thread", [ours])):
        row = f"pkcs11 {name} {times:,} times, 2 threads {peer}"
        yield Ratio(row, lambda: together([ours] * 2), partial(together, others), clock=perf_counter)


def _repeat(work: _Work, times: int) -> None:
    for _ in range(times):
        work()
