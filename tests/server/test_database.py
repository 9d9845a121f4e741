"""Opening: what is set, what is refused, and who may start at the same time."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from trap_contract.errors import ConfigError, StoreError
from trap_server.database import VERSION_TABLE, open_database, open_for_reading
from trap_server.schema import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(engine: sa.Engine):
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_commit_survives_a_power_cut(engine: sa.Engine):
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_starts_at_the_same_time_make_one_database(database_url: str):
    failures: list[Exception] = []

    def start() -> None:
        try:
            open_database(database_url).dispose()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    open_for_reading(database_url).dispose()


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
        pytest.raises(sa.exc.OperationalError, match="readonly"),
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
