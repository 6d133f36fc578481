"""All commands together."""

from __future__ import annotations

import click

from kmskit import __version__
from kmskit.cli.bench import bench
from kmskit.cli.emulator import emulator
from kmskit.cli.envelopes import decrypt, encrypt, inspect, reencrypt
from kmskit.cli.keys import keys
from kmskit.cli.look import capabilities, doctor
from kmskit.cli.program import Program
from kmskit.cli.signatures import sign, verify
from kmskit.cli.tokens import token

__all__ = ["kmskit"]


@click.group(cls=Program)
@click.version_option(__version__, prog_name="kmskit", message="%(prog)s %(version)s")
def kmskit() -> None:
    """Keys you can use but not read: software, HSM or Alibaba Cloud KMS.

    \b
    kmskit keys create orders
    kmskit encrypt big.csv --to orders
    kmskit decrypt big.csv.enc -o copy.csv
    kmskit keys create releases --spec EC_P256
    kmskit sign releases dist.tar.gz
    kmskit keys public-key releases > releases.pem
    kmskit verify dist.tar.gz dist.tar.gz.sig --public-key releases.pem

    Exit status: 0 done, 1 refused or failed, 2 wrong usage.
    """


for command in (keys, encrypt, decrypt, reencrypt, inspect, sign, verify, token, capabilities, doctor, emulator, bench):
    kmskit.add_command(command)
