"""A real PostgreSQL for tests: made once, on a socket in a temporary folder, and emptied for each test."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from trap_deploy.ports import free_port

NEEDED = ("initdb", "pg_ctl", "postgres")
USER = "postgres"
QUIET = "-c fsync=off -c shared_buffers=32MB -c max_connections=50"  # a test's data need not survive a power cut
EMPTYING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL",
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One server; `folder` has its data and its log."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Address for `--database`."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def control(self, *arguments: str) -> None:
        """Run pg_ctl as the user that owns the data."""
        _run(["pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", *arguments])

    def start(self, more: str = "") -> None:
        """Start, and return when it accepts connections."""
        place = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} {QUIET} {more}"
        self.control("-o", place, "start")

    def limit_files(self, size: int | None) -> None:
        """Let no file that the server's processes write grow beyond `size` bytes, as on a full disk; None: any may.

        Its first process stays as it is, so that it can start the others again after the panic that this may be.
        """
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        for one in children(pid):
            with suppress(RuntimeError):  # it has ended meanwhile
                _run(["prlimit", "--pid", str(one), f"--fsize={'unlimited' if size is None else size}:"])

    def kill(self) -> None:
        """SIGKILL to the whole server, as a power cut would."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        for one in (pid, *children(pid)):  # those that survive their parent keep the next one from starting
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)

    def empty(self) -> str:
        """Throw out whatever a test left behind; returns the address."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in EMPTYING:
                connection.exec_driver_sql(statement)
        engine.dispose()
        return self.url


def children(pid: int) -> list[int]:
    """Processes that this one has started and that run."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@contextmanager
def running_postgres(more: str = "") -> Iterator[PostgresServer]:
    """A server that ends with the block, with `more` options; skips the test where PostgreSQL is not installed."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        pytest.skip(f"PostgreSQL is not installed: no {', '.join(absent)} on the PATH")
    # Not below pytest's folders: those only their owner may enter, and PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="zancudo-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    server = PostgresServer(folder, free_port())
    try:
        _run(["initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "-N", "-E", "UTF8", "--no-locale"])
        server.start(more)
        yield server
        server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _run(command: list[str]) -> None:
    prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, cwd="/", timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} fails: {done.stdout}{done.stderr}")
