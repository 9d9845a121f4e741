"""The command `trap-server`."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from trap_contract.command import run_command
from trap_contract.logs import configure_logs
from trap_contract.topics import TrapAddress

from trap_server.account_commands import people_app, tokens_app
from trap_server.audit import Account, take_account
from trap_server.database import open_database, open_for_reading
from trap_server.deployments import deployments
from trap_server.exporting.export import Exported, Format, accuracy_of, export, with_progress
from trap_server.exporting.metadata import ExportMetadata
from trap_server.exporting.reading import Period, Selection
from trap_server.exporting.rows import Places
from trap_server.ingest import run_ingest
from trap_server.orders import OrderName
from trap_server.settings import Settings, read_settings
from trap_server.settings_commands import settings
from trap_server.storage_commands import back_up_database, rebuild_rollups, restore_database
from trap_server.version import software_version

app = typer.Typer(
    help="Collect the counts of a fleet of traps: from MQTT to a database, acknowledged when stored; API and page.\n\n"
    "Every option can also be given as an environment variable TRAP_SERVER_NAME.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(people_app, name="people")
app.add_typer(tokens_app, name="tokens")

DAY = ["%Y-%m-%d"]
Since = Annotated[datetime | None, typer.Option(formats=DAY, help="first night or day", show_default=False)]
Until = Annotated[datetime | None, typer.Option(formats=DAY, help="last night or day", show_default=False)]
Broker = Annotated[str | None, typer.Option(help="mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts://", show_default=False)]
Database = Annotated[
    str | None, typer.Option(help="sqlite:///PATH.db or postgresql+psycopg://USER@HOST/NAME", show_default=False)
]
Ca = Annotated[Path | None, typer.Option(help="authorities to trust, for mqtts://", show_default=False)]
Cert = Annotated[Path | None, typer.Option(help="this collector's certificate", show_default=False)]
Key = Annotated[Path | None, typer.Option(help="the certificate's private key", show_default=False)]
Collector = Annotated[str | None, typer.Option(help="MQTT client id, stable, one a replica", show_default=False)]
KeepDays = Annotated[
    int | None, typer.Option(help="age windows out, their hours and nights stay; else for good", show_default=False)
]
Share = Annotated[
    str | None, typer.Option(help="collectors of one group share the messages between them", show_default=False)
]
Host = Annotated[str | None, typer.Option(help="address to serve on", show_default=False)]
Url = Annotated[str | None, typer.Option(help="where people find the page, for links", show_default=False)]
Port = Annotated[int | None, typer.Option(help="port to serve on", show_default=False)]
Bundles = Annotated[Path | None, typer.Option(help="folder of published bundles", show_default=False)]
HttpsCert = Annotated[Path | None, typer.Option(help="serve HTTPS with this certificate", show_default=False)]
HttpsKey = Annotated[Path | None, typer.Option(help="its private key", show_default=False)]
LogJson = Annotated[bool | None, typer.Option("--log-json", help="log in JSON", show_default=False)]


@app.command()
def run(
    *,
    broker: Broker = None,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    url: Url = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    collector: Collector = None,
    bundles: Bundles = None,
    https_cert: HttpsCert = None,
    https_key: HttpsKey = None,
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
    share: Share = None,
    keep_windows_days: KeepDays = None,
    log_json: LogJson = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Only the writer: MQTT to database to acknowledgement."""
    flags = {name: value for name, value in locals().items() if name != "until_stdin_closes"}
    run_ingest(_begin(**flags), until_stdin_closes)


@app.command()
def api(
    *,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    url: Url = None,
    bundles: Bundles = None,
    https_cert: HttpsCert = None,
    https_key: HttpsKey = None,
    log_json: LogJson = None,
) -> None:
    """Only the API and the page."""
    from trap_server.site import serve

    serve(_begin(**locals()))


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


@app.command("export")
def export_counts(
    *,
    database: Database = None,
    format_: Annotated[Format, typer.Option("--format", help="what to write")] = "csv",
    out: Annotated[Path, typer.Option(help="a new folder, or an archive: NAME.zip")],
    by: Annotated[Period, typer.Option(help="one line each; other than night only in csv and parquet")] = "night",
    since: Since = None,
    until: Until = None,
    tenant: Annotated[str | None, typer.Option(help="only this tenant", show_default=False)] = None,
    trap: Annotated[str | None, typer.Option(help="only this trap", show_default=False)] = None,
    title: Annotated[str, typer.Option(help="title of the data")] = "Mosquito counts",
    publisher: Annotated[str, typer.Option(help="who answers for the data")] = "not told",
    contact: Annotated[str, typer.Option(help="their e-mail address", show_default=False)] = "",
    licence: Annotated[str, typer.Option(help="of the data, as SPDX names it: CC-BY-4.0", show_default=False)] = "",
    taxon: Annotated[str, typer.Option(help="what the model's classes are")] = "Culicidae",
    rank: Annotated[str, typer.Option(help="rank of the taxon")] = "family",
    model: Annotated[list[Path] | None, typer.Option(help="bundle whose accuracy to tell", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Write counts as entomologists exchange them, with effort, zeros, models and thresholds."""
    selection = Selection(tenant, trap, since.date() if since else None, until.date() if until else None)
    metadata = ExportMetadata(
        title=title,
        publisher=publisher,
        contact=contact,
        licence=licence,
        taxon=taxon,
        taxon_rank=rank,
        software_version=software_version(),
        created_at_ms=time.time_ns() // 1_000_000,
        accuracy=accuracy_of(model or []),
    )
    with open_for_reading(read_settings(database=database).database).begin() as connection:
        places = Places(deployments(connection).values())
        done = export(
            connection,
            format_,
            out,
            period=by,
            selection=selection,
            places=places,
            metadata=metadata,
            followed=with_progress,
        )
    print(json.dumps(asdict(done)) if as_json else _exported(done))


@app.command()
def watch(
    *,
    database: Database = None,
    broker: Broker = None,
    every: Annotated[float, typer.Option(min=1, help="seconds between two rounds")] = 60,
    once: Annotated[bool, typer.Option("--once", help="one round, and end")] = False,
    log_json: LogJson = None,
) -> None:
    """Judge every trap, store the alerts, and tell whom TRAP_SERVER_ALERT_* names."""
    from trap_server.alerting.watching import run_watch

    run_watch(_begin(database=database, broker=broker, log_json=log_json), None if once else every)


@app.command()
def alerts(
    *,
    database: Database = None,
    acknowledge: Annotated[
        int | None, typer.Option(help="number of an alert you have seen", show_default=False)
    ] = None,
    by: Annotated[str, typer.Option(help="who acknowledges")] = "operator",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The newest 100 alerts, or acknowledge one."""
    from trap_server.alerting import keeping

    url = read_settings(database=database).database
    if acknowledge is not None:
        with open_database(url).begin() as connection:
            found = [keeping.acknowledge(connection, acknowledge, by, time.time_ns() // 1_000_000)]
    else:
        with open_for_reading(url).begin() as connection:
            found = keeping.alerts(connection, 100)
    told = [asdict(one) for one in found]
    print(json.dumps(told) if as_json else "\n".join(f"{one['id']} {one['state']}: {one['text']}" for one in told))


@app.command("command")
def send_command(
    trap: Annotated[str, typer.Argument(help="the trap's name")],
    name: Annotated[OrderName, typer.Argument(help="what it shall do")],
    *,
    database: Database = None,
    tenant: Annotated[str, typer.Option(help="whose trap it is")] = "default",
    ttl: Annotated[int, typer.Option(min=10, max=604_800, help="seconds after which it must not be done")] = 600,
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait for the answer")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Send a command to a trap through a running ingest, and wait for its answer; status 1: it was not done."""
    from trap_server.ordering import send_and_wait

    url, address = read_settings(database=database).database, TrapAddress(tenant, trap)
    told = send_and_wait(url, address, name, ttl_s=ttl, wait_s=wait)
    print(json.dumps(asdict(told)) if as_json else f"{told.state}: {told.text or told.id}")
    if told.state != "done":
        raise typer.Exit(1)


app.command("settings")(settings)
app.command("backup")(back_up_database)
app.command("restore")(restore_database)
app.command("rebuild")(rebuild_rollups)


def _exported(done: Exported) -> str:
    models = ", ".join(done.models) or "none"
    return f"{done.out}: {done.rows} rows as {done.format}; models: {models}"


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
