"""Make the course's data set again, byte for byte: python data/make.py

Everything follows from fixed seeds. The persons do not exist, and the card numbers are those that payment processors
publish for tests. The keys used here are written down here, so they protect nothing.
"""

from __future__ import annotations

import csv
import io
import random
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEED = 20250101
ORDERS = 200
FIRST_ORDER = 1001
YEAR = 2025
TENANTS = ("acme", "borealis", "corvus", "dorado")
CARDS = (
    "378282246310005",
    "5105105105105100",
    "5555555555554444",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "4012888888881881",
    "4111111111111111",
    "4242424242424242",
)
GIVEN = ("Ada", "Bo", "Chi", "Dara", "Eli", "Fen", "Gus", "Hana", "Ivo", "Jun", "Kai", "Lin", "Mei", "Noa", "Pia")
FAMILY = ("Dummy", "Example", "Fixture", "Nobody", "Placeholder", "Sample", "Specimen", "Testcase")

RELEASES = {
    "2.1.0": ("2025-02-11", "Statements can be exported as CSV."),
    "2.1.1": ("2025-02-25", "Rounding of foreign amounts repaired."),
    "2.2.0": ("2025-04-08", "Refunds can be split over several cards."),
    "2.2.1": ("2025-04-09", "URGENT!! Install at once. Mail checks are off until Monday. Agreed by phone."),
    "2.3.0": ("2025-06-17", "Cards are stored encrypted, under a key of their tenant."),
}
FORGED = "2.1.1"

ARCHIVE_NONCES = {1042: 3, 1055: 1, 1068: 0, 1107: 3, 1121: 2, 1190: 4}
"""Order -> which nonce its row in the archive was encrypted under. Two rows share one."""


def orders() -> list[dict[str, str]]:
    """A year of orders, by date."""
    # Only `random()` itself is promised to give the same numbers in every version of Python.
    draw = random.Random(SEED).random  # noqa: S311  # Sample data, not secrets.

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(draw() * len(choices))]

    days = sorted(int(draw() * 365) for _ in range(ORDERS))
    return [
        {
            "order": str(FIRST_ORDER + number),
            "date": (date(YEAR, 1, 1) + timedelta(days=day)).isoformat(),
            "tenant": pick(TENANTS),
            "customer": f"{pick(GIVEN)} {pick(FAMILY)}",
            "card": pick(CARDS),
            "amount": f"{5 * (1 / (1 - 0.99 * draw())):.2f}",
        }
        for number, day in enumerate(days)
    ]


def releases() -> dict[str, bytes]:
    """Release notes, the publisher's signature of each, and the publisher's public key. One of the notes is forged."""
    publisher = ec.derive_private_key(int.from_bytes(sha256(b"kmskit course: publisher").digest()), ec.SECP256R1())
    files = {"publisher.pem": _pem(publisher.public_key())}
    for version, (day, text) in RELEASES.items():
        note = _note(version, day, text, archive=f"ledger-{version}.tar.gz")
        # RFC 6979: the same signature every time.
        signature = publisher.sign(note, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        if version == FORGED:  # Someone put the digest of an archive of their own into the note, after it was signed.
            note = _note(version, day, text, archive="another archive")
        files |= {f"{version}.txt": note, f"{version}.sig": signature}
    return files


def archive(cards: dict[int, str]) -> list[dict[str, str]]:
    """Cards encrypted by a program that did not make each nonce new."""
    cipher = AESGCM(sha256(b"kmskit course: archive").digest())
    rows = []
    for order, number in ARCHIVE_NONCES.items():
        nonce = sha256(b"nonce %d" % number).digest()[:12]
        ciphertext = cipher.encrypt(nonce, cards[order].encode(), None)
        rows.append({"order": str(order), "nonce": nonce.hex(), "ciphertext": ciphertext.hex()})
    return rows


def files() -> dict[str, bytes]:
    """Every file of the data set: path below this folder -> bytes."""
    table = orders()
    cards = {int(row["order"]): row["card"] for row in table}
    return {
        "orders.csv": _csv(table),
        "archive.csv": _csv(archive(cards)),
        **{f"releases/{name}": content for name, content in releases().items()},
    }


def _note(version: str, day: str, text: str, archive: str) -> bytes:
    digest = sha256(archive.encode()).hexdigest()
    return f"ledger {version}, {day}\n\n{text}\n\nsha256 of ledger-{version}.tar.gz:\n{digest}\n".encode()


def _pem(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    for name, content in files().items():
        path = Path(__file__).parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
