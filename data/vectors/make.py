"""Make `envelope.json` again, byte for byte: python data/vectors/make.py > data/vectors/envelope.json"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from message import LENGTH, Message, drawn, gcm, oaep, pairs, point, signed, signer

# The keys are for these vectors only. They stand here for everyone to read, so they protect nothing.
AES = {f"aes-{bits}": drawn(f"aes-{bits}", bits // 8) for bits in (128, 192, 256)}
P = int(
    "f1b87b8e5968be818290649839b52e9db1694c61643caec9f0aba3ccc4153b24"
    "c1ac9425d79acd99718f5ded621c0c1a43f6d620ff1e4998c031eccea8a5ad33"
    "68f376f66f011e7c70c1f6e94303378205906b7a378c0b32d7cbf60610e8720e"
    "43a284574ab815437860493f3b7059176b1a76eb7444e149889372e49320b08d",
    16,
)
Q = int(
    "e1d613798926a89fa068b2cb248d3ca6d976a05c568b8ccfc446376300a87dcb"
    "4a8b84131f6d3cb454292791f7cc46031925786f5438713d6b00d75c0bb80498"
    "fe39f4e76cb64d705fc3971dc3a0820c9684e43296ef84b18d10780698d3515f"
    "bf1d91395a7e99934d7f2aa6cc64ef912c65309828005d3b7d81dd6f83c020c3",
    16,
)
E = 65537
NAMESPACE = b"kmskit-vectors"
CONTEXT = (("purpose", "test"), ("table", "orders"))
THREE = drawn("plaintext", 2 * LENGTH + 44)


def wrapped(name: str, key: str = "aes-256", context: bytes = b"", size: int = 32) -> tuple[bytes, bytes, bytes]:
    """The data key of the vector `name` under one of the keys."""
    data_key, iv = drawn(f"{name}: data key", 32)[:size], drawn(f"{name}: iv for {key}", 12)
    if key in AES:
        info = key.encode() + (128).to_bytes(4) + (12).to_bytes(4) + iv
        return NAMESPACE, info, gcm(AES[key], iv, data_key, context)
    seed = drawn(f"{name}: seed", 64)
    return NAMESPACE, key.encode(), oaep(P * Q, E, key.removeprefix("rsa-"), data_key, seed)


def message(name: str, plaintext: bytes = THREE, context: bytes = b"", **parts: Any) -> Message:
    parts.setdefault("recipients", (wrapped(name, context=context),))
    return Message(name=name, plaintext=plaintext, context=context, **parts)


def signed_message(name: str, plaintext: bytes = THREE, **parts: Any) -> Message:
    context = pairs((("aws-crypto-public-key", point(signer(name))), *CONTEXT))
    return message(name, plaintext, context, suite=0x0578, **parts)


vectors: list[dict[str, Any]] = []


def vector(made: Message, data: bytes | None = None, key: str = "aes-256", **expected: Any) -> None:
    data = made.bytes() if data is None else data
    vectors.append({"name": made.name, "key": key, **expected, "message": b64encode(data).decode()})


def opens(made: Message, data: bytes | None = None, key: str = "aes-256", **context: str) -> None:
    vector(made, data, key, plaintext=b64encode(made.plaintext).decode(), context=context)


def refused(made: Message, failure: str, data: bytes | None = None, key: str = "aes-256") -> None:
    vector(made, data, key, failure=failure)


# What opens

for size in (0, 1, LENGTH - 1, LENGTH, LENGTH + 1, 3 * LENGTH):
    opens(message(f"{size} bytes", drawn("plaintext", size)))
opens(message("exact multiple with an empty final frame", drawn("plaintext", 2 * LENGTH), empty_end=True))
opens(message("one byte a frame", b"frames", frame_length=1))
opens(message("context", THREE, pairs(CONTEXT)), **dict(CONTEXT))
# By UTF-16 units, as some languages sort, the two names would stand the other way round.
sorted_by_bytes = (("\uff5e", "Größe"), ("\U0001f511", ""))
opens(message("context sorted by its bytes", THREE, pairs(sorted_by_bytes)), **dict(sorted_by_bytes))
opens(message("ivs unlike the sequence", THREE, ivs=tuple(drawn(f"iv {number}", 12) for number in range(3))))
for key in ("aes-128", "aes-192", "rsa-sha1", "rsa-sha256", "rsa-sha384", "rsa-sha512"):
    opens(message(f"wrapped with {key}", recipients=(wrapped(f"wrapped with {key}", key),)), key=key)
name = "second of two recipients"
stranger = (b"aws-kms", b"arn:aws:kms:us-west-2:111122223333:key/1234abcd", drawn("a stranger's", 184))
opens(message(name, recipients=(stranger, wrapped(name))))
name = "eight recipients, the others damaged"
damaged = (*wrapped(name)[:2], drawn("damaged", 48))
opens(message(name, recipients=(*[damaged] * 7, wrapped(name))))
for size in (0, len(THREE)):
    made = signed_message(f"signed, {size} bytes", THREE[:size])
    opens(made, signed(made.bytes(), signer(made.name)), **dict(CONTEXT))
seen: set[int] = set()
for number in range(100):  # DER writes a number in 48 bytes, or in 49 if its first bit is set.
    made = signed_message(f"signed, try {number}", b"")
    length = len(signed(made.bytes(), signer(made.name))) - len(made.bytes()) - 2
    if length not in seen and len(seen) < 3:
        seen.add(length)
        opens(made, signed(made.bytes(), signer(made.name)), **dict(CONTEXT))

# Headers that are refused

refused(message("format version 1", version=1), "version")
refused(message("no format at all", version=0x80), "version")
for suite in (0x0014, 0x0178, 0x0378, 0x0479):
    refused(message(f"suite {suite:04x}", suite=suite), "suite")
reversed_context, doubled = tuple(reversed(CONTEXT)), (CONTEXT[0], CONTEXT[0])
for what, data in (
    ("not sorted", pairs(reversed_context)),
    ("with a name twice", pairs(doubled)),
    ("of no pairs", bytes(2)),
    ("with bytes left over", pairs(CONTEXT) + b"\0"),
    ("cut short", pairs(CONTEXT)[:-1]),
    ("not UTF-8", b"\0\1\0\1\xff\0\0"),
):
    refused(message(f"context {what}", THREE, data), "context")
refused(message("no recipients", recipients=()), "recipients")
refused(message("nine recipients", recipients=(wrapped("nine recipients"),) * 9), "recipients")
name = "provider id not UTF-8"
refused(message(name, recipients=((b"\xff", b"", b""), wrapped(name))), "provider")
refused(message("not framed", content_type=1), "framing")
refused(message("frames of no bytes", claimed_length=0), "framing")
refused(message("frames beyond 64 MiB", claimed_length=2**26 + 1), "framing")
refused(message("another commitment", commitment=bytes(32)), "header")
for at, what in ((3, "message id"), (-49, "frame length"), (-17, "commitment"), (-1, "tag")):
    made = message(f"{what} changed in the header")
    header = bytearray(made.header())
    header[at] ^= 1
    refused(made, "header", bytes(header) + b"".join(made.frames()))
made = message("value changed in the context", THREE, pairs(CONTEXT))
refused(made, "wrapped key", made.bytes().replace(b"orders", b"others"))
made = message(
    "value changed under RSA", THREE, pairs(CONTEXT), recipients=(wrapped("value changed under RSA", "rsa-sha1"),)
)
refused(made, "header", made.bytes().replace(b"orders", b"others"), key="rsa-sha1")
refused(message("recipient of another key"), "no recipient", key="aes-128")
name = "wrapped under another context"
refused(message(name, THREE, pairs(CONTEXT), recipients=(wrapped(name),)), "wrapped key")
name = "wrapped data key of 16 bytes"
refused(message(name, recipients=(wrapped(name, size=16),), data_key=drawn(f"{name}: data key", 16)), "wrapped key")
name = "wrapped with another OAEP"
refused(
    message(name, recipients=((NAMESPACE, b"rsa-sha256", wrapped(name, "rsa-sha1")[2]),)),
    "wrapped key",
    key="rsa-sha256",
)

# Bodies that are refused


def rearranged(name: str, failure: str, *order: int, cut: int = 0, end: bytes = b"") -> None:
    """The three frames in another order, less some bytes, and with others at the end."""
    made = message(name)
    frames = made.frames()
    data = made.header() + b"".join(frames[index] for index in order)
    refused(made, failure, data[: len(data) - cut] + end)


rearranged("regular frames swapped", "order", 1, 0, 2)
rearranged("first frame left out", "order", 1, 2)
rearranged("first frame twice", "order", 0, 0, 1, 2)
rearranged("final frame alone", "order", 2)
rearranged("no final frame", "cut", 0, 1)
rearranged("no frames", "cut")
rearranged("last byte cut off", "cut", 0, 1, 2, cut=1)
rearranged("cut in the second frame", "cut", 0, 1, cut=7)
rearranged("a byte too many", "trailing", 0, 1, 2, end=b"\0")
rearranged("final frame twice", "trailing", 0, 1, 2, 2)
made = message("message twice")
refused(made, "trailing", made.bytes() * 2)
made = message("frame of another message")
another = replace(made, name="another message", data_key=drawn(f"{made.name}: data key", 32))
refused(made, "frame", made.header() + another.frames()[0] + b"".join(made.frames()[1:]))
for index, at, what in (
    (0, 16, "ciphertext of a regular frame"),
    (0, -1, "tag of a regular frame"),
    (0, 5, "iv of a regular frame"),
    (2, 24, "ciphertext of the final frame"),
    (2, -1, "tag of the final frame"),
):
    made = message(f"{what} changed")
    frames = [bytearray(frame) for frame in made.frames()]
    frames[index][at] ^= 1
    refused(made, "frame", made.header() + b"".join(frames))
made = message("sequence of the final frame changed")
refused(made, "order", made.header() + b"".join(made.frames()[:2]) + b"\xff" * 4 + bytes(4) + made.frames()[2][8:])
made = message(
    "final frame longer than the others", frame_length=2 * LENGTH, claimed_length=LENGTH, plaintext=THREE[: LENGTH + 1]
)
refused(made, "cut")
made = message("regular frame as the final one")
first = made.frames()[0]
refused(made, "frame", made.header() + b"\xff" * 4 + first[:16] + LENGTH.to_bytes(4) + first[16:])

# Signatures that are refused

made = signed_message("signature changed")
data = bytearray(signed(made.bytes(), signer(made.name)))
data[-1] ^= 1
refused(made, "signature", bytes(data))
made = signed_message("signature left out")
refused(made, "signature")
made = signed_message("signature of another key")
refused(made, "signature", signed(made.bytes(), signer("another key")))
made = signed_message("signature of another message")
refused(made, "signature", made.bytes() + signed(b"another message", signer(made.name))[15:])
made = signed_message("signature cut short")
refused(made, "signature", signed(made.bytes(), signer(made.name))[:-1])
made = signed_message("a byte behind the signature")
refused(made, "signature", signed(made.bytes(), signer(made.name)) + b"\0")
made = replace(signed_message("signature stripped with its suite"), suite=0x0478)
refused(made, "stripped")
refused(message("signed suite without a public key", suite=0x0578), "stripped")
made = signed_message("suite changed to unsigned", claims=0x0478)
refused(made, "stripped")
for value in ("", "AAAA", "not base64", "A" * 68):
    made = message(f"public key {value[:10]!r}", THREE, pairs((("aws-crypto-public-key", value),)), suite=0x0578)
    refused(made, "public key", signed(made.bytes(), signer(made.name)))
made = message("unsigned with a footer")
refused(made, "trailing", signed(made.bytes(), signer(made.name)))


number = rsa.RSAPublicNumbers(E, P * Q)
d = pow(E, -1, (P - 1) * (Q - 1))
private = rsa.RSAPrivateNumbers(P, Q, d, d % (P - 1), d % (Q - 1), pow(Q, -1, P), number).private_key()
content = {
    "about": "AWS Encryption SDK messages, version 2, made by make.py; the keys are for tests, they protect nothing",
    "namespace": NAMESPACE.decode(),
    "aes keys": {name: key.hex() for name, key in AES.items()},
    "rsa key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "messages": vectors,
}
sys.stdout.write(json.dumps(content, indent=1) + "\n")
