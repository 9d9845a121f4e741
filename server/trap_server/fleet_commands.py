"""The command `trap-fleet`."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from trap_contract.command import run_command
from trap_contract.errors import ConfigError
from trap_contract.topics import NAME_PATTERN, TrapAddress

from trap_server.fleet import overview
from trap_server.fleet.authority import FIRST_COLLECTOR, REVOCATION_DAYS, Fleet, Plan, init_fleet, open_fleet
from trap_server.fleet.certificates import Signer, as_address, certificate_pem, trap_name
from trap_server.fleet.live_broker import enforce, reload
from trap_server.fleet.passphrase import read_passphrase
from trap_server.fleet.private_files import read_private, write_private
from trap_server.fleet.registry import Lock
from trap_server.fleet.traps import Trap, card_folder, offer_token, redeem_token
from trap_server.rollout_commands import rollout
from trap_server.simulation.command import simulate_fleet

app = typer.Typer(
    help="Who may speak on the broker: an authority, a certificate for each trap, and the broker's rules.\n\n"
    "The authority's passphrase: --passphrase-file, or the variable TRAP_FLEET_PASSPHRASE, or it is asked for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="TRAP", help="the trap's name")]
Tenant = Annotated[str, typer.Option(help="whose trap it is")]
Folder = Annotated[Path, typer.Option("--dir", envvar="TRAP_FLEET_DIR", help="the fleet's folder")]
Passphrase = Annotated[Path | None, typer.Option("--passphrase-file", help="readable by you alone", show_default=False)]
Days = Annotated[int, typer.Option(min=1, max=3650, help="how long the certificate is good")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
FLEET = Path("fleet")
TENANT = "default"
DAYS = 730
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


class Service(StrEnum):
    """What `renew` renews."""

    crl = "crl"
    broker = "broker"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
    *,
    host: Annotated[list[str], typer.Option(help="the broker's name or address; the first is for traps")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="where the broker listens")] = 8883,
    broker_user: Annotated[str, typer.Option(help="whom mosquitto runs as, when you are root")] = "mosquitto",
    reload_command: Annotated[
        str, typer.Option("--reload", help="command that reloads the broker; else SIGHUP by its pid file")
    ] = "",
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Make an authority, the broker's certificate, configuration and rules, and the collector's certificate."""
    plan = Plan(tuple(_host(one) for one in host), port, reload_command, broker_user if os.geteuid() == 0 else None)
    if re.search(r"[\x00-\x1f\x7f]", str(folder)):
        raise ConfigError(f"{str(folder)!r}: mosquitto's configuration can't name this folder: choose another")
    passphrase = read_passphrase(passphrase_file, is_new=True)
    fleet = init_fleet(folder, plan, passphrase, Lock(salt=secrets.token_hex(16)), _now())
    collector = fleet.folder / "collectors" / FIRST_COLLECTOR
    _say(
        {"broker": fleet.broker_url, "mosquitto": f"{fleet.folder}/broker/mosquitto.conf", "collector": f"{collector}"},
        f"authority  {fleet.folder}/authority: keep a copy of it, and the passphrase, where the broker is not\n"
        f"broker     mosquitto -c {fleet.folder}/broker/mosquitto.conf\n"
        f"collector  trap-server run --broker {fleet.broker_url} --ca {collector}/ca.pem "
        f"--cert {collector}/collector.pem --key {collector}/collector.key",
        as_json=as_json,
    )


@app.command()
def enrol(
    trap: Name,
    *,
    tenant: Tenant = TENANT,
    days: Days = DAYS,
    token: Annotated[bool, typer.Option("--token", help="a one-use join token: the key is made on the trap")] = False,
    hours: Annotated[int, typer.Option(min=1, max=8760, help="how long the token is good")] = 72,
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Give a trap an identity: files for its card, with its key and certificate or with a join token."""
    address, now = TrapAddress(tenant, trap), _now()
    with open_fleet(folder) as fleet:
        if token:
            expires = now + timedelta(hours=hours)
            offer_token(fleet, address, secrets.token_urlsafe(32), now, expires=expires, days=days)
        else:
            one = Trap(fleet, fleet.unlock(read_passphrase(passphrase_file), now), address)
            expires = one.enrol(days, now).not_after
            _readmit(fleet, now)
        _say_card(fleet, address, expires, as_json=as_json)


@app.command()
def redeem(
    request: Annotated[Path, typer.Argument(metavar="CSR", help="the trap's signing request, PKCS #10 in PEM")],
    *,
    token_file: Annotated[Path, typer.Option(help="the join token that came with it")],
    out: Annotated[Path, typer.Option(help="where the certificate goes; a new file")],
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
) -> None:
    """Sign the request of a trap that made its own key; its join token is used up."""
    pem, token = request.read_bytes(), read_private(token_file, "join token").decode(errors="replace").strip()
    if out.exists():
        raise ConfigError(f"{out}: exists: give another name")
    with _unlocked(folder, passphrase_file) as (fleet, signer):
        write_private(out, certificate_pem(redeem_token(fleet, signer, token, pem, _now())))
        _readmit(fleet, _now())


@app.command()
def revoke(
    trap: Name,
    *,
    tenant: Tenant = TENANT,
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Take a trap's certificates and join tokens back: the broker closes its session now, and refuses it."""
    with _unlocked(folder, passphrase_file) as (fleet, signer):
        one = Trap(fleet, signer, TrapAddress(tenant, trap))
        _say_revoked(one, _revoke(one), as_json=as_json)


@app.command()
def rotate(
    trap: Name,
    *,
    tenant: Tenant = TENANT,
    days: Days = DAYS,
    at_once: Annotated[bool, typer.Option("--at-once", help="revoke the old certificate now")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="only revoke the old: the trap has its new files")] = False,
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Give a trap a new key and certificate; the old ones stay good until --finish, or end --at-once."""
    if at_once and finish:
        raise ConfigError("--at-once and --finish: give one of them")
    with _unlocked(folder, passphrase_file) as (fleet, signer):
        one = Trap(fleet, signer, TrapAddress(tenant, trap))
        until = None if finish else one.rotate(days, _now()).not_after
        count = _revoke(one, only_superseded=True) if at_once or finish else 0
        if until is None:
            _say_revoked(one, count, as_json=as_json)
        else:
            _say_card(fleet, one.address, until, as_json=as_json)


@app.command()
def collector(
    name: Annotated[str, typer.Argument(metavar="NAME", help="one for each replica: the broker knows it by this name")],
    *,
    revoke_old: Annotated[bool, typer.Option("--revoke-old", help="revoke what this name had before")] = False,
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
) -> None:
    """Give a collector a certificate: one more, or a new one for one that is there."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"collector name {name!r}: use 1 to 36 of a-z, 0-9 and '-', beginning with a letter or digit")
    with _unlocked(folder, passphrase_file) as (fleet, signer):
        now = _now()
        typer.echo(f"{fleet.certify_collector(signer, name, now)}: ca.pem, collector.pem, collector.key")
        fleet.publish_rules(now)
        if revoke_old:
            old = {one.serial for one in fleet.registry.of("collector", name) if one.is_superseded}
            fleet.save(fleet.registry.revoking(old, now))
            fleet.publish_revocations(signer, now)
        reload(fleet)


@app.command()
def renew(
    what: Annotated[Service, typer.Argument(help="the revocation list, or the broker's certificate")],
    *,
    days: Annotated[int, typer.Option(min=1, max=7300, help="how long a revocation list is good")] = REVOCATION_DAYS,
    folder: Folder = FLEET,
    passphrase_file: Passphrase = None,
) -> None:
    """Sign the revocation list or the broker's certificate anew; with an expired list the broker refuses everyone."""
    with _unlocked(folder, passphrase_file) as (fleet, signer):
        if what is Service.broker:
            fleet.certify_broker(signer, _now())
        else:
            fleet.publish_revocations(signer, _now(), days)
        reload(fleet)


@app.command("list")
def list_all(*, folder: Folder = FLEET, as_json: AsJson = False) -> None:
    """Say who has a certificate or a join token and until when, and what must be seen to."""
    with open_fleet(folder) as fleet:
        if as_json:
            typer.echo(json.dumps(overview.as_json(fleet, _now())))
            return
        Console().print(overview.as_table(fleet, _now()))
        for warning in overview.warnings(fleet, _now()):
            typer.echo(f"warning: {warning}", err=True)


app.add_typer(rollout, name="rollout")


@contextmanager
def _unlocked(folder: Path, passphrase_file: Path | None) -> Iterator[tuple[Fleet, Signer]]:
    with open_fleet(folder) as fleet:
        yield fleet, fleet.unlock(read_passphrase(passphrase_file), _now())


def _readmit(fleet: Fleet, now: datetime) -> None:
    """The broker denies a revoked name until its rules no longer say so; any other trap needs no reload."""
    if fleet.publish_rules(now):
        reload(fleet)


def _revoke(trap: Trap, *, only_superseded: bool = False) -> int:
    """Revoke, then make the running broker follow: what fails there comes after the list is safely written."""
    count = trap.revoke(_now(), only_superseded=only_superseded)
    enforce(trap, _now())
    return count


def _say_revoked(trap: Trap, count: int, *, as_json: bool) -> None:
    text = f"{trap.name}: {count} revoked; its session is closed, and the broker refuses what is revoked"
    _say({"trap": trap.name, "revoked": count}, text, as_json=as_json)


def _say_card(fleet: Fleet, address: TrapAddress, until: datetime, *, as_json: bool) -> None:
    card = card_folder(fleet, address)
    text = f"{trap_name(address)}: good until {until:%Y-%m-%d %H:%M} UTC; copy {card} onto its card, then delete it"
    _say({"trap": trap_name(address), "card": str(card), "until": until.isoformat()}, text, as_json=as_json)


app.command("simulate")(simulate_fleet)


def _say(values: dict[str, object], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(values) if as_json else text)


def _host(text: str) -> str:
    if as_address(text) is None and not _HOST.fullmatch(text):
        raise ConfigError(f"--host {text!r}: not a host name or address: write it as traps will reach the broker")
    return text


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def main() -> None:
    """Entry point."""
    run_command(app)


if __name__ == "__main__":
    main()
