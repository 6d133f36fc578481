"""`kmskit emulator`: Alibaba Cloud KMS on this computer, for programs in any language."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from types import FrameType
from typing import TYPE_CHECKING

import click

from kmskit.cli import output
from kmskit.cli.program import Command
from kmskit.cli.session import Session

if TYPE_CHECKING:
    from kmskit.emulator import Cloud, Identity

__all__ = ["emulator"]


def _user(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, tuple[str, ...]] | None:
    """`NAME:POLICY[,...]`"""
    if value is None:
        return None
    name, colon, policies = value.partition(":")
    if not name or not colon:
        raise click.BadParameter("NAME:POLICY[,POLICY...] expected")
    return name, tuple(filter(None, policies.split(",")))


def _ports(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int]:
    """`SOFTWARE,HARDWARE`"""
    if value is None:
        return 0, 0
    parts = value.split(",")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and int(part) < 65536 for part in parts):
        raise click.BadParameter("two ports expected: SOFTWARE,HARDWARE")
    return int(parts[0]), int(parts[1])


@click.command(cls=Command)
@click.option("--data-dir", metavar="DIR", help="Keeps keys, users and CAs; else all is gone at the end.")
@click.option("--env-file", metavar="FILE", help="Write endpoints, CAs and an access key to FILE once it listens.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the shared gateway; 0 finds one.")
@click.option("--instance-ports", callback=_ports, metavar="SOFTWARE,HARDWARE", help="Of the instances' gateways.")
@click.option("--region", default="cn-hangzhou", show_default=True, help="Which region it pretends to be.")
@click.option("--seed", metavar="FILE", help="A JSON file with users, policies and keys to begin with.")
@click.option(
    "--user",
    callback=_user,
    metavar="NAME:POLICY[,...]",
    help="A RAM user with these policies, whose access key FILE then holds instead of the root's.",
)
@click.option("--actions", is_flag=True, help="List what it can do, and on what evidence, and end.")
@click.pass_obj
def emulator(
    session: Session,
    data_dir: str | None,
    env_file: str | None,
    host: str,
    port: int,
    instance_ports: tuple[int, int],
    region: str,
    seed: str | None,
    user: tuple[str, tuple[str, ...]] | None,
    actions: bool,
) -> None:
    """Run an emulator of Alibaba Cloud KMS until it is interrupted.

    The vendor's SDKs of any language talk to it unmodified. It protects nothing real.
    """
    if actions:
        _list_actions(as_json=session.json)
        return
    from kmskit.emulator import start

    if env_file is not None:
        with suppress(FileNotFoundError):  # Whoever waits for it must not find an older one.
            os.unlink(env_file)
    ended = _ended_by_signal()
    with start(
        region=region, data_dir=data_dir, host=host, port=port, seed=seed, instance_ports=instance_ports
    ) as cloud:
        who = None if user is None else _existing_or_new(cloud, *user)
        if env_file is not None:
            _write_env(env_file, cloud.env(who))
        _tell(cloud, host, env_file)
        ended.wait()
        output.note("stopping")
        if env_file is not None:
            _remove_env(env_file, cloud.endpoint)


def _ended_by_signal() -> threading.Event:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return ended


def _existing_or_new(cloud: Cloud, name: str, policies: tuple[str, ...]) -> Identity:
    if name not in cloud.ram.users():
        return cloud.ram.create_user(name, policies=policies)
    cloud.ram.attach(name, *policies)
    return cloud.ram.user(name)


def _write_env(path: str, environment: dict[str, str]) -> None:
    """Appears whole, and nobody else can read it."""
    target = Path(path).absolute()
    descriptor, name = mkstemp(dir=target.parent, prefix=f".{target.name}.")  # Mode 0600.
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in environment.items())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _remove_env(path: str, endpoint: str) -> None:
    """Whoever starts the next one and waits for the file must not find this one; unless it is another's by now."""
    with suppress(OSError):
        if f"KMSKIT_SHARED_ENDPOINT={endpoint}\n" in Path(path).read_text("utf-8"):
            os.unlink(path)


def _tell(cloud: Cloud, host: str, env_file: str | None) -> None:
    output.note("kmskit emulator of Alibaba Cloud KMS: it protects nothing real.")
    for name, endpoint, ca_path in (
        ("shared", cloud.endpoint, cloud.ca_path),
        *((each.kind, each.endpoint, each.ca_path) for each in cloud.instances.values()),
    ):
        output.note(f"{name:<9}{endpoint}  CA {ca_path}")
    if host not in ("127.0.0.1", "::1", "localhost"):
        output.note("Others on the network can reach it.")
    output.note(f"access key in {env_file}" if env_file else "no access key was written: --env-file FILE")


def _list_actions(*, as_json: bool) -> None:
    from kmskit.emulator import ACTIONS

    if as_json:
        output.json_array(
            {"action": each.name, "state": each.state, "evidence": each.evidence, "note": each.note}
            for each in ACTIONS.values()
        )
        return
    rows = [(each.name, each.state, each.evidence or "-", each.note) for each in ACTIONS.values()]
    output.table(("action", "state", "evidence", "note"), rows, (32, 8, 16, 0))
    counted = Counter(each.state for each in ACTIONS.values())
    output.note(", ".join(f"{number} {state}" for state, number in sorted(counted.items())))
