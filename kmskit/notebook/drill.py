"""`Drill`: an incident to practise on, over and over: which steps, in which order, end it?

drill = Drill({"acme": b"order,amount\\n1,12.50\\n"})
drill.play(["rotate"])            # {'asks': True, 'keeps': True, 'stands': False, 'forged': True}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING

from kmskit import envelope
from kmskit.errors import KmsError
from kmskit.kms import Kms
from kmskit.notebook.incident import break_in

if TYPE_CHECKING:
    from kmskit.emulator import Cloud

__all__ = ["Drill"]


class Drill:
    """The incident of the capstone, as it stands when somebody notices, as often as you like.

    Each play has keys, users, files and an intruder of its own, on one emulator which stops with the process.
    The intruder does not sleep: before each step he asks the KMS for the data key of every file in the bucket.

    Args:
        files: name -> plaintext.
    """

    steps = ("rotate", "lock", "renew", "restore", "reencrypt", "destroy")
    """What can be done about it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        from kmskit import emulator

        self._files = dict(files)
        self._cloud = emulator.start()
        self._admin = self._cloud.connect(instance="software")
        self._users = count(1)
        self._played: dict[tuple[str, ...], dict[str, bool]] = {}

    def play(self, steps: Iterable[str]) -> dict[str, bool]:
        """Take the steps, and look. What was played once is remembered.

        Returns:
            `asks`: the KMS still serves the intruder. `keeps`: a data key that he kept opens a file as it is now.
            `forged`: a file has another text than it had. `stands`: the program cannot read all files.

        Raises:
            KeyError: there is no such step.
        """
        wanted = tuple(steps)
        if wanted not in self._played:
            case = _Case(self._cloud, self._admin, f"app-{next(self._users)}", self._files)
            self._played[wanted] = case.after(wanted)
        return dict(self._played[wanted])

    def close(self) -> None:
        """Stop the emulator."""
        self._cloud.stop()


class _Case:
    """One incident, from the keys on.

    Attributes:
        steps: name -> what it does.
    """

    def __init__(self, cloud: Cloud, admin: Kms, program: str, files: Mapping[str, bytes]) -> None:
        self._cloud, self._admin, self._files = cloud, admin, files
        self._keys = {name: admin.create_key() for name in files}
        self._access_key = leaked = cloud.ram.create_user(program, policies=["AliyunKMSCryptoUserAccess"])
        self._bucket = {name: self._sealed(name, plaintext) for name, plaintext in files.items()}
        backup = dict(self._bucket)
        self._intruder = break_in(cloud, leaked, self._bucket)
        self.steps: dict[str, Callable[[], object]] = {
            "rotate": lambda: [key.rotate() for key in self._keys.values()],
            "lock": lambda: cloud.ram.set_access_key(leaked.access_key_id, active=False),
            "renew": lambda: setattr(self, "_access_key", cloud.ram.create_access_key(program)),
            "restore": lambda: self._bucket.update(backup),
            "reencrypt": lambda: self._bucket.update(
                {name: self._sealed(name, self._read(name, admin)) for name in files}
            ),
            "destroy": lambda: [key.schedule_deletion(7) for key in self._keys.values()],
        }

    def after(self, steps: Iterable[str]) -> dict[str, bool]:
        for step in steps:
            for message in self._bucket.values():
                self._intruder.asks(message)
            self.steps[step]()
        asked = [self._intruder.asks(message) for message in self._bucket.values()]
        with self._cloud.connect(self._access_key, instance="software") as program:
            return {
                "asks": any(asked),
                "keeps": any(self._intruder.opens(message) for message in self._bucket.values()),
                "stands": not all(self._opened(name, program) is not None for name in self._files),
                "forged": any(
                    self._opened(name, self._admin) not in (None, text) for name, text in self._files.items()
                ),
            }

    def _sealed(self, name: str, plaintext: bytes) -> bytes:
        return envelope.encrypt(plaintext, [self._keys[name]], context={"tenant": name})

    def _read(self, name: str, kms: Kms) -> bytes:
        return envelope.decrypt(self._bucket[name], [kms.key(self._keys[name].id)], require_context={"tenant": name})

    def _opened(self, name: str, kms: Kms) -> bytes | None:
        """What a file says; None if this Kms does not open it. What nobody can read is told by `stands`."""
        try:
            return self._read(name, kms)
        except KmsError:
            return None
