"""A small model of ECS: disks whose blocks are encrypted under a data key that ECS gets from KMS for itself.

Attaching a disk has KMS decrypt its data key once; reading and writing blocks asks KMS nothing; detaching forgets the
key. Whoever uses the disk never sees a key. What ECS really passes as encryption context was not found, so the one here
is made up, and so is the cipher: AES-256-XTS (IEEE 1619) with the block's number as tweak.

A key of one's own ECS uses in the role AliyunECSDiskEncryptDefaultRole, so a key policy may speak of that role. What a
key policy then refuses is emulator-defined in its form: ECS's own code for it was not found.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from kmskit import markup
from kmskit.emulator.default_keys import service_key
from kmskit.emulator.errors import ServiceError
from kmskit.emulator.state import Alias, Key, Role
from kmskit.errors import AccessDeniedError, KeyNotFoundError, KeyStateError, KmsError, UnsupportedError

if TYPE_CHECKING:
    from kmskit.emulator.service import Service

__all__ = ["BLOCK", "Disk", "Ecs"]

BLOCK = 4096
"""Bytes of a block."""
_PRODUCT = "ecs.aliyuncs.com"
_ROLE = "AliyunECSDiskEncryptDefaultRole"
_SPECS = ("Aliyun_AES_256", "Aliyun_SM4")


class Disk:
    """An encrypted disk.

    Attributes:
        id: as ECS gives them.
        key_id: the key under which the data key is wrapped.
        wrapped_key: the data key's ciphertext, which is stored with the disk.
        attached: whether a server can use it.
    """

    def __init__(self, service: Service, key_id: str, blocks: int) -> None:
        self._service = service
        self.id = f"d-{secrets.token_hex(10)}"
        self.key_id = key_id
        self.blocks = blocks
        self._context = f'{{"acs:ecs:diskid":"{self.id}"}}'
        self._stored: dict[int, bytes] = {}
        self._data_key: bytes | None = None
        answer = _ask(
            service,
            "GenerateDataKey",
            {"KeyId": key_id, "NumberOfBytes": "64", "EncryptionContext": self._context},
        )
        self.wrapped_key: str = answer["CiphertextBlob"]

    @property
    def attached(self) -> bool:
        return self._data_key is not None

    def attach(self) -> Disk:
        """Have KMS decrypt the data key, into the host's memory.

        Raises:
            KeyStateError: the key is disabled or is being deleted: then nobody can attach the disk.
            AccessDeniedError: the key's policy denies it to ECS.
        """
        answer = _ask(
            self._service, "Decrypt", {"CiphertextBlob": self.wrapped_key, "EncryptionContext": self._context}
        )
        self._data_key = b64decode(answer["Plaintext"])
        return self

    def detach(self) -> None:
        self._data_key = None

    def write(self, block: int, data: bytes) -> None:
        """One block; what is shorter is filled with zeros."""
        if len(data) > BLOCK:
            raise ValueError(f"data: at most {BLOCK} bytes are a block")
        encryptor = self._cipher(block).encryptor()
        self._stored[block] = encryptor.update(data.ljust(BLOCK, b"\0")) + encryptor.finalize()

    def read(self, block: int) -> bytes:
        decryptor = self._cipher(block).decryptor()
        stored = self._stored.get(block)
        return bytes(BLOCK) if stored is None else decryptor.update(stored) + decryptor.finalize()

    def raw(self, block: int) -> bytes:
        """What lies on the medium, as whoever steals it would see it."""
        self._check(block)
        return self._stored.get(block, bytes(BLOCK))

    def _cipher(self, block: int) -> Cipher[modes.XTS]:
        self._check(block)
        if self._data_key is None:
            raise KeyStateError("the disk is not attached", hint="disk.attach()")
        return Cipher(algorithms.AES(self._data_key), modes.XTS(block.to_bytes(16, "little")))

    def _check(self, block: int) -> None:
        if not 0 <= block < self.blocks:
            raise ValueError(f"block: 0 to {self.blocks - 1} expected")

    def __repr__(self) -> str:
        state = "attached" if self.attached else "detached"
        return f"<Disk {markup.volatile_text(self.id)}: {self.blocks} blocks, {state}>"


class Ecs:
    """Cloud servers, as far as their disks go. Disks are in memory only."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._disks: dict[str, Disk] = {}

    def create_disk(self, key: str | None = None, *, blocks: int = 256) -> Disk:
        """A detached disk.

        Args:
            key: id or alias of a key that ECS may use; ECS's own key `alias/acs/ecs` if left out. For a key of one's
                own the role AliyunECSDiskEncryptDefaultRole must exist, as the console asks for at the first time.

        Raises:
            KeyNotFoundError, KeyStateError, AccessDeniedError, UnsupportedError: with ECS's code.
        """
        account = self._service.account
        disk = Disk(self._service, self._checked(key or service_key(account, "ecs")), blocks)
        self._disks[disk.id] = disk
        return disk

    def disk(self, disk_id: str) -> Disk:
        if disk_id not in self._disks:
            raise KeyNotFoundError(f"there is no disk {disk_id!r}", hint="cloud.ecs.create_disk()")
        return self._disks[disk_id]

    def __iter__(self) -> Iterator[Disk]:
        return iter(list(self._disks.values()))

    def _checked(self, named: str) -> str:
        account = self._service.account
        alias = account.state.get(Alias, named if named.startswith("alias/") else f"alias/{named}")
        key = account.current(named if alias is None else alias.key)
        if key is None:
            raise KeyNotFoundError(
                "ECS finds no key with this id or alias", backend="ecs", code="InvalidOperation.KMSKeyIdNotFound"
            )
        self._check_kind(key)
        return key.id

    def _check_kind(self, key: Key) -> None:
        if key.spec not in _SPECS:
            raise UnsupportedError(
                f"ECS encrypts disks with {' or '.join(_SPECS)}, not {key.spec}", backend="ecs", code="InvalidParameter"
            )
        if key.state != "Enabled":
            raise KeyStateError(
                f"the key is {key.state}",
                backend="ecs",
                code="InvalidParameter.KMSKeyId.CMKNotEnabled",
                hint="enable the key",
            )
        if key.creator == "user" and self._service.account.state.get(Role, _ROLE) is None:
            raise AccessDeniedError(
                "ECS may not use this key",
                backend="ecs",
                code="InvalidParameter.KMSKeyId.KMSUnauthorized",
                hint=f"cloud.ram.create_role({_ROLE!r}, service={_PRODUCT!r}) lets it",
            )


def _ask(service: Service, action: str, parameters: dict[str, str]) -> dict[str, str]:
    problem: KmsError
    try:
        return dict(service.as_product(_PRODUCT, action, parameters, role=_ROLE))
    except ServiceError as error:
        problem = _problem(error, action)
    raise problem


def _problem(error: ServiceError, action: str) -> KmsError:
    if error.status == 403:
        told = error.detail or {}
        facts = (_PRODUCT, *(told.get(name, "") for name in ("AuthAction", "PolicyType", "NoPermissionType")))
        return AccessDeniedError(
            f"a policy refuses this: {', '.join(filter(None, facts))}",
            backend="ecs",
            operation=action,
            code=error.code,
            hint="the key's policy must not deny it",
        )
    kind = {404: KeyNotFoundError, 409: KeyStateError}.get(error.status, KmsError)
    hint = "enable the key, or cancel its deletion" if kind is KeyStateError else None
    return kind(error.message, backend="ecs", operation=action, code=error.code, hint=hint)
