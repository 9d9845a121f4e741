"""The command `trap-server`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from trap_contract.command import run_command
from trap_contract.logs import configure_logs

from trap_server.audit import Account, take_account
from trap_server.database import open_for_reading
from trap_server.ingest import run_ingest
from trap_server.settings import Settings, read_settings

app = typer.Typer(
    help="Collect the counts of a fleet of traps: from MQTT to a database, acknowledged when stored; API and page.\n\n"
    "Every option can also be given as an environment variable TRAP_SERVER_NAME.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Broker = Annotated[str | None, typer.Option(help="mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts://", show_default=False)]
Database = Annotated[str | None, typer.Option(help="sqlite:///PATH.db", show_default=False)]
Ca = Annotated[Path | None, typer.Option(help="authorities to trust, for mqtts://", show_default=False)]
Cert = Annotated[Path | None, typer.Option(help="this collector's certificate", show_default=False)]
Key = Annotated[Path | None, typer.Option(help="the certificate's private key", show_default=False)]
Collector = Annotated[str | None, typer.Option(help="MQTT client id, stable, one a replica", show_default=False)]
Host = Annotated[str | None, typer.Option(help="address to serve on", show_default=False)]
Port = Annotated[int | None, typer.Option(help="port to serve on", show_default=False)]
LogJson = Annotated[bool | None, typer.Option("--log-json", help="log in JSON", show_default=False)]


@app.command()
def run(
    *,
    broker: Broker = None,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    collector: Collector = None,
    log_json: LogJson = None,
) -> None:
    """Everything a small site needs: ingest, restarted if it dies, and the API with its page."""
    from trap_server.site import run_site

    run_site(_begin(**locals()))


@app.command()
def ingest(
    *,
    broker: Broker = None,
    database: Database = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    collector: Collector = None,
    log_json: LogJson = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Only the writer: MQTT to database to acknowledgement."""
    settings = _begin(
        broker=broker, database=database, ca=ca, cert=cert, key=key, collector=collector, log_json=log_json
    )
    run_ingest(settings, until_stdin_closes)


@app.command()
def api(*, database: Database = None, host: Host = None, port: Port = None, log_json: LogJson = None) -> None:
    """Only the API and the page."""
    from trap_server.site import serve

    serve(_begin(database=database, host=host, port=port, log_json=log_json))


@app.command()
def check(
    *,
    database: Database = None,
    trap: Annotated[str | None, typer.Option(help="only this trap", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say what is stored of every boot of every trap, and what is missing."""
    engine = open_for_reading(read_settings(database=database).database)
    with engine.begin() as connection:
        account = take_account(connection, trap)
    if as_json:
        print(json.dumps(asdict(account)))
    else:
        Console().print(_table(account))


def _begin(**flags: object) -> Settings:
    settings = read_settings(**flags)
    configure_logs(as_json=settings.log_json)
    return settings


def _table(account: Account) -> Table:
    quarantined = f"{account.quarantined} messages in quarantine"
    table = Table("tenant", "trap", "boot", title=None, caption=f"{account.stored} windows stored, {quarantined}")
    for name in ("stored", "first", "last", "missing", "collisions"):
        table.add_column(name, justify="right")
    for boot in account.boots:
        missing = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in boot.missing)
        numbers = (boot.stored, boot.first, boot.last, missing or "none", boot.collisions)
        table.add_row(boot.tenant, boot.trap, boot.boot[:8], *map(str, numbers))
    return table


def main() -> None:
    """Entry point."""
    run_command(app)


if __name__ == "__main__":
    main()
