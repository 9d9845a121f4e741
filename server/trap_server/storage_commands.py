"""The commands of `trap-server` that look after the database: backup, restore, rebuild."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from trap_server.backup import Copied, Follow, back_up, restore
from trap_server.database import open_database
from trap_server.rollups import keeping
from trap_server.settings import read_settings

Database = Annotated[
    str | None, typer.Option(help="sqlite:///PATH.db or postgresql+psycopg://USER@HOST/NAME", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def back_up_database(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="a new file")],
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole database into one file, while collectors write on."""
    _copy("backing up", lambda follow: back_up(read_settings(database=database).database, out, follow), as_json=as_json)


def restore_database(
    backup: Annotated[Path, typer.Argument(metavar="FILE", help="what `backup` wrote")],
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Fill an empty database, SQLite or PostgreSQL, from a backup."""
    _copy(
        "restoring", lambda follow: restore(backup, read_settings(database=database).database, follow), as_json=as_json
    )


def rebuild_rollups(*, database: Database = None, as_json: AsJson = False) -> None:
    """Build every hour and night anew from the windows that are there; collectors may write on."""
    engine = open_database(read_settings(database=database).database)
    with engine.begin() as connection:
        hours = keeping.start_anew(connection)
    done = 0
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("rebuilding", total=hours)
        while True:
            with engine.begin() as connection:
                built = keeping.refresh(connection)
            if not built:
                break
            done += built
            progress.update(task, completed=done)
    typer.echo(json.dumps({"hours": done}) if as_json else f"{done} hours built anew")


def _copy(what: str, copy: Callable[[Follow], Copied], *, as_json: bool) -> None:
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=1.0)
        copied = copy(lambda done: progress.update(task, completed=done))
    windows = copied.rows.get("windows", 0)
    total = sum(copied.rows.values())
    typer.echo(json.dumps(asdict(copied)) if as_json else f"{copied.place}: {windows} windows, {total} rows in all")
