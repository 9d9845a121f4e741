"""Opening: what is set, what is refused, and who may start at the same time."""

import multiprocessing
import sqlite3
import time
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from trap_contract.errors import ConfigError, StoreError
from trap_deploy.ports import free_port
from trap_server import database, sqlite_file
from trap_server.database import VERSION_TABLE, open_database, open_for_reading
from trap_server.schema import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(engine: sa.Engine):
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_commit_to_sqlite_survives_a_power_cut(sqlite_url: str):
    with open_database(sqlite_url).begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_commit_to_postgresql_is_on_disk_whatever_the_server_is_set_to(postgresql_url: str):
    with open_database(postgresql_url).begin() as connection:
        connection.exec_driver_sql("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    with open_database(postgresql_url).begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        connection.exec_driver_sql("ALTER ROLE CURRENT_USER RESET synchronous_commit")


def start_together(url: str, together: Barrier) -> None:
    together.wait()
    open_database(url).dispose()


def test_starts_at_the_same_time_make_one_database(database_url: str):
    context = multiprocessing.get_context("fork")
    together = context.Barrier(4)
    starting = [context.Process(target=start_together, args=(database_url, together)) for _ in range(4)]
    for process in starting:
        process.start()
    for process in starting:
        process.join(120)
    assert [process.exitcode for process in starting] == [0] * 4
    open_for_reading(database_url).dispose()


def test_a_start_waits_for_who_has_the_file(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.0)
    path = sa.make_url(sqlite_url).database
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(database, "START_PATIENCE_S", 0.0)
        with pytest.raises(StoreError, match="can't be opened: database is locked"):
            open_database(sqlite_url)
        monkeypatch.setattr(database, "START_PATIENCE_S", 60.0)
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("ROLLBACK"))  # it gives the file back meanwhile
        open_database(sqlite_url).dispose()
        assert not other.in_transaction


def test_a_foreign_database_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE orders (id INTEGER)")
    before = path.read_bytes()
    for opening in (open_database, open_for_reading):
        with pytest.raises(StoreError, match=r"shop\.db is not a zancudo database"):
            opening(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    path = tmp_path / "notes.db"
    path.write_text("catch of the night\n" * 100)
    for opening in (open_database, open_for_reading):
        with pytest.raises(StoreError, match="file is not a database"):
            opening(f"sqlite:///{path}")


def test_a_database_of_a_newer_version_is_refused(database_url: str, engine: sa.Engine):
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for opening in (open_database, open_for_reading):
        with pytest.raises(StoreError, match="newer zancudo"):
            opening(database_url)


def test_reading_creates_nothing(tmp_path: Path):
    with pytest.raises(StoreError, match="no such file"):
        open_for_reading(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_who_opened_for_reading_can_not_write(database_url: str, engine: sa.Engine):
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"read-?only"),
        open_for_reading(database_url).begin() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM windows")


@pytest.mark.parametrize(
    "url", ["counts.db", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "sqlite:///a.db?mode=ro", "://"]
)
def test_an_address_of_another_form_is_refused(url: str):
    with pytest.raises(ConfigError, match=r"sqlite:///PATH\.db"):
        open_database(url)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match="there is no folder"):
        open_database(f"sqlite:///{tmp_path / 'none' / 'counts.db'}")


def test_a_server_that_does_not_answer_is_named_without_its_password():
    url = f"postgresql+psycopg://fleet:secret@127.0.0.1:{free_port()}/counts"
    for opening in (open_database, open_for_reading):
        with pytest.raises(StoreError, match=r"fleet:\*\*\*@.*/counts can't be") as caught:
            opening(url)
        assert "secret" not in str(caught.value)


def test_a_foreign_database_on_a_server_is_refused(postgresql_url: str):
    with sa.create_engine(postgresql_url).begin() as other:
        other.exec_driver_sql("CREATE TABLE orders (id INTEGER)")
    for opening in (open_database, open_for_reading):
        with pytest.raises(StoreError, match="is not a zancudo database"):
            opening(postgresql_url)
