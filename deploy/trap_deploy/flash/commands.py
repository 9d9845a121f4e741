"""The command `trap-flash`."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from trap_contract.command import run_command
from trap_contract.errors import ConfigError

from trap_deploy.flash.blocks import BlockMap, OnBytes, parse_bmap, verify_blocks, write_blocks
from trap_deploy.flash.drives import Drive, choose, list_drives
from trap_deploy.flash.identity import Identity, make_identity, read_source
from trap_deploy.flash.image_file import check_image, check_sum, opened, personalise, unpack

app = typer.Typer(
    help="Put the trap's image onto a card, and a trap's identity onto the image.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
console = Console(stderr=True)
_USED = ".on-a-card"

Id = Annotated[str | None, typer.Option("--id", help="this trap's name")]
Site = Annotated[str | None, typer.Option(help="where it hangs, in words")]
Tenant = Annotated[str | None, typer.Option(help="whose trap it is")]
Broker = Annotated[str | None, typer.Option(help="mqtt://HOST[:PORT] or mqtts://...")]
Wifi = Annotated[str | None, typer.Option(help="name of the Wi-Fi; its password is asked for")]
Password = Annotated[
    str | None, typer.Option("--wifi-password", envvar="TRAP_WIFI_PASSWORD", help="instead of asking", show_envvar=True)
]
Country = Annotated[str | None, typer.Option(help="of the Wi-Fi, two letters, as in ES")]
SshKey = Annotated[Path | None, typer.Option(help="public key that opens the trap over SSH")]
Enrolment = Annotated[Path | None, typer.Option(help="what trap-fleet enrol wrote for this trap")]
Again = Annotated[bool, typer.Option("--again", help="the enrolment was on a card before")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check everything, write nothing")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_cards(*, as_json: AsJson = False) -> None:
    """Show the cards that can be written; no other drive is ever written."""
    cards = [one for one in list_drives() if one.is_removable and one.size]
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in cards]))
        return
    for one in cards:
        typer.echo(f"{one.path}  {one.size / 1e9:.1f} GB  {one.model or one.transport}  {one.objection or 'free'}")
    if not cards:
        typer.echo("no card is in this computer")


@app.command()
def write(
    image: Annotated[Path, typer.Argument(help="zancudo-trap-...-arm64.img.xz", show_default=False)],
    drive: Annotated[str | None, typer.Argument(help="a card, as in /dev/sdb", show_default=False)] = None,
    *,
    to_file: Annotated[Path | None, typer.Option(help="write an image for Raspberry Pi Imager instead")] = None,
    trap: Id = None,
    site: Site = None,
    tenant: Tenant = None,
    broker: Broker = None,
    wifi: Wifi = None,
    wifi_password: Password = None,
    country: Country = None,
    ssh_key: SshKey = None,
    enrolment: Enrolment = None,
    again: Again = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before the card is erased")] = False,
) -> None:
    """Write the image onto a card, read it back, and make it one trap's card."""
    if (drive is None) == (to_file is None):
        raise ConfigError("give a card, as trap-flash list shows it, or --to-file")
    identity = _identity(locals())
    table = check_image(image)
    check_sum(image)
    if to_file:
        _to_file(image, to_file, table.end, identity, dry_run=dry_run)
    else:
        _to_card(image, choose(list_drives(), str(drive), table.end), identity, dry_run=dry_run, is_sure=yes)
    _remember(enrolment, dry_run=dry_run)


@app.command("personalise")
def personalise_card(
    place: Annotated[Path, typer.Argument(help="a card, its mounted TRAPBOOT, or an image", show_default=False)],
    *,
    trap: Id = None,
    site: Site = None,
    tenant: Tenant = None,
    broker: Broker = None,
    wifi: Wifi = None,
    wifi_password: Password = None,
    country: Country = None,
    ssh_key: SshKey = None,
    enrolment: Enrolment = None,
    again: Again = False,
    dry_run: DryRun = False,
) -> None:
    """Give a card that is already written another identity."""
    identity = _identity(locals())
    if identity is None:
        raise ConfigError("no identity: give --id and --broker, or --enrolment")
    if str(place).startswith("/dev/"):
        choose(list_drives(), str(place), 0)
    if dry_run:
        typer.echo(f"would write {', '.join(identity.files)} onto {place}")
        return
    personalise(place, identity)
    _remember(enrolment, dry_run=False)
    typer.echo(f"{place}: {', '.join(identity.files)} written")


def _identity(given: dict[str, object]) -> Identity | None:
    """What flags and enrolment say; None when they say nothing. Raises ConfigError naming the mistake."""
    enrolment = given["enrolment"]
    settings, beside = read_source(enrolment) if isinstance(enrolment, Path) else ({}, {})
    if isinstance(enrolment, Path) and _used(enrolment).exists() and not given["again"]:
        raise ConfigError(
            f"{enrolment}: is on a card since {_used(enrolment).read_text().strip()}: two traps with one identity push "
            "each other off the broker; enrol another trap, or give --again for a card that is replaced"
        )
    flags = {name: given[name] for name in ("trap", "site", "tenant", "broker") if given[name] is not None}
    tables: dict[str, dict[str, object]] = {}
    if given["wifi"] is not None:
        tables["wifi"] = {"ssid": given["wifi"], "password": _password(given), "country": given["country"]}
    if isinstance(given["ssh_key"], Path):
        tables["ssh"] = {"key": given["ssh_key"].read_text().strip()}
    if not (settings or flags or tables):
        return None
    return make_identity({**settings, **flags}, tables, beside)


def _password(given: dict[str, object]) -> object:
    """An open network has none: an empty answer."""
    if given["wifi_password"] is not None:
        return given["wifi_password"] or None
    return typer.prompt(f"password of {given['wifi']}", hide_input=True, default="", show_default=False) or None


def _to_file(image: Path, target: Path, size: int, identity: Identity | None, *, dry_run: bool) -> None:
    if target.exists():
        raise ConfigError(f"{target}: exists: give another name")
    if dry_run:
        typer.echo(f"would write {size / 1e6:.0f} MB to {target}{_with(identity)}")
        return
    draft = target.with_name(target.name + ".part")
    try:
        with _progress("unpack", size) as told:
            unpack(image, draft, told)
        check_image(draft)
        if identity:
            personalise(draft, identity)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    typer.echo(f"{target}: choose it in Raspberry Pi Imager as a custom image, without any customisation")


def _to_card(image: Path, drive: Drive, identity: Identity | None, *, dry_run: bool, is_sure: bool) -> None:
    blocks = _block_map(image)
    what = f"{blocks.size / 1e6:.0f} MB to {drive.path} ({drive.model or drive.transport}, {drive.size / 1e9:.1f} GB)"
    if dry_run:
        typer.echo(f"would write {what}{_with(identity)}")
        return
    if not is_sure:
        typer.confirm(f"write {what}? Everything on it is lost", abort=True, err=True)
    card = Path(drive.path)
    with opened(image) as source, _progress("write", blocks.size) as told:
        write_blocks(source, card, blocks, told)
    with _progress("verify", blocks.size) as told:
        verify_blocks(card, blocks, told)
    if identity:
        personalise(card, identity)
    os.sync()
    typer.echo(f"{drive.path}: written and verified{_with(identity)}; it can be taken out")


def _block_map(image: Path) -> BlockMap:
    name = image.name.removesuffix(".xz").removesuffix(".img") + ".bmap"
    try:
        return parse_bmap(image.with_name(name).read_text(), name)
    except FileNotFoundError as error:
        raise ConfigError(f"{image.with_name(name)}: is missing: it belongs beside the image") from error


def _used(enrolment: Path) -> Path:
    return (enrolment if enrolment.is_dir() else enrolment.parent) / _USED


def _remember(enrolment: Path | None, *, dry_run: bool) -> None:
    if enrolment and not dry_run:
        _used(enrolment).write_text(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")


def _with(identity: Identity | None) -> str:
    return f", with {', '.join(identity.files)}" if identity else ", without an identity: edit trap.toml on it"


def _as_json(drive: Drive) -> dict[str, object]:
    return {"path": drive.path, "size": drive.size, "model": drive.model, "objection": drive.objection}


@contextmanager
def _progress(what: str, total: int) -> Iterator[OnBytes]:
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def main() -> None:
    """Entry point."""
    run_command(app)


if __name__ == "__main__":
    main()
