"""How fast counts are stored: the real collector beside a bare paho receiver that only acknowledges, in one run.

A round of each way is the same: a broker of its own, the receiver's session away, N messages of 100 traps queued for
it, then the receiver comes and the clock runs from its subscription to its last PUBACK. So broker and receiver have the
machine to themselves, as after an outage, and the sender costs nothing. Rounds of all ways are interleaved.

  bare            paho, MQTT 5, manual acknowledgement in the callback, nothing else: the fastest paho can be
  sqlite          `trap-server ingest` into SQLite, one window a message
  sqlite-replay   the same, 60 windows a message, as a trap sends what it held
  postgresql[-replay]  the same into PostgreSQL, where its programs are installed

What it shows: messages and windows a second, the time of each commit, memory. What it does not show: a broker that
saves each change to its disk, TLS, or traps that send while the collector drains (`trap-fleet simulate` does).
`--soak N` instead replays N windows into SQLite and prints the collector's memory on the way.
"""

import argparse
import gc
import json
import os
import platform
import random
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tests' broker and PostgreSQL server

from brokers import Broker, running_broker  # noqa: E402
from postgres_server import NEEDED, running_postgres  # noqa: E402
from server.traps import make_batch, make_window  # noqa: E402

TRAPS = 100
RECEIVER = "zancudo-collector"
REPLAY = 60
UNSAVED = "persistence false\nmax_queued_bytes 0\nmax_inflight_messages 1000\nmax_queued_messages 1000000\n"
BOOT = "0" * 32


@dataclass(frozen=True, slots=True)
class Result:
    """One round: what came in how many seconds; `commits_s` of each transaction; peak memory of the receiver, MB."""

    messages: int
    windows: int
    seconds: float
    commits_s: list[float]
    memory_mb: float


def main() -> None:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=60_000, help="of one window, a round")
    parser.add_argument("--windows", type=int, default=120_000, help="in replay, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", help="only these")
    parser.add_argument("--soak", type=int, metavar="WINDOWS", help="replay so many into SQLite, and watch memory")
    parser.add_argument("--stages", action="store_true", help="of one window into SQLite, no broker: what takes time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--receive", nargs=4, metavar=("WAY", "BROKER", "DATABASE", "COUNT"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.receive:
        receive(*flags.receive)
    elif flags.soak:
        soak(flags.soak)
    elif flags.stages:
        print(stages(flags.messages))
    else:
        print_result(measure(flags), as_json=flags.json)


def measure(flags: argparse.Namespace) -> dict[str, list[Result]]:
    """Every way's rounds, interleaved."""
    has_postgres = all(shutil.which(name) for name in NEEDED)
    databases = ["sqlite", "postgresql"] if has_postgres else ["sqlite"]
    ways = flags.ways or ["bare", *databases, *(f"{database}-replay" for database in databases)]
    found: dict[str, list[Result]] = {way: [] for way in ways}
    for number in range(flags.rounds):
        for way in ways:
            print(f"round {number + 1} of {flags.rounds}: {way}", file=sys.stderr)
            replay = way.endswith("-replay")
            found[way].append(one_round(way, flags.windows if replay else flags.messages, REPLAY if replay else 1))
    return found


def one_round(way: str, windows: int, each: int) -> Result:
    """Queue the windows, `each` in a message, let the receiver come, and take its time."""
    with (
        tempfile.TemporaryDirectory() as place,
        database_of(way, Path(place)) as database,
        running_broker(Path(place), extra=UNSAVED, verbose=False) as broker,
    ):
        open_session(broker)
        publish(broker, messages(windows, each), windows // each)
        expected = windows // each if way == "bare" else windows // each * each
        command = [sys.executable, __file__, "--receive", way, broker.url, database, str(expected)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            told = json.loads(receiver.stdout.readline())
            receiver.communicate()
    assert told["count"] == expected, f"{told['count']} of {expected} came through"
    return Result(
        windows // each, windows // each * each, **{name: told[name] for name in ("seconds", "commits_s", "memory_mb")}
    )


@contextmanager
def database_of(way: str, folder: Path) -> Iterator[str]:
    """An empty database for a way."""
    if not way.startswith("postgresql"):
        yield f"sqlite:///{folder / 'counts.db'}"
        return
    with running_postgres("-c fsync=on") as server:
        yield server.url


def messages(windows: int, each: int, boot: str = BOOT, first: int = 1) -> Iterator[tuple[str, bytes]]:
    """Topics and payloads, the traps in turn; the traps' numbers count from `first`."""
    head, window = template(boot)
    for number in range(windows // each):
        trap, begin = f"t{number % TRAPS}", first + number // TRAPS * each
        body = ",".join(window % {"seq": seq, "mono": seq * 60_000} for seq in range(begin, begin + each))
        yield f"mt/v1/demo/{trap}/counts", f"{head % trap}{body}]}}".encode()


def template(boot: str) -> tuple[str, str]:
    """A message's head, with a place for the trap, and a window with places for its number and time."""
    whole = json.loads(make_batch([make_window(1, boot=boot, kernel_boot=boot)])) | {"trap": "%s"}
    (window,) = whole.pop("windows")
    text = json.dumps(window | {"seq": "N", "mono_ms": "M", "wall_ms": "W"}, separators=(",", ":"))
    text = text.replace('"N"', "%(seq)d").replace('"M"', "%(mono)d").replace('"W"', "179%(mono)010d")
    return json.dumps(whole)[:-1] + ',"windows":[', text


def publish(broker: Broker, what: Iterator[tuple[str, bytes]], count: int) -> None:
    """Queue messages for the receiver's session, by hand: a client library would be slower than the broker."""
    with socket.create_connection(("127.0.0.1", broker.port)) as link:
        link.sendall(packet(0x10, b"\0\4MQTT\4\2\0\0" + text("sender")))
        counter = threading.Thread(target=count_pubacks, args=(link, count))
        counter.start()
        for number, (topic, payload) in enumerate(what):
            link.sendall(packet(0x32, text(topic) + struct.pack("!H", number % 65535 + 1) + payload))
        counter.join()
        link.sendall(b"\xe0\0")


def count_pubacks(link: socket.socket, count: int) -> None:
    """Read CONNACK and PUBACKs, each four bytes in MQTT 3.1.1."""
    left = 4 * (count + 1)
    while left:
        received = link.recv(65536)
        assert received, "the broker closed the connection"
        left -= len(received)


def open_session(broker: Broker) -> None:
    """Let the receiver's session begin, as if it had been here before."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    done = threading.Event()
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client = paho.Client(CallbackAPIVersion.VERSION2, RECEIVER, protocol=paho.MQTTv5)
    client.on_connect = lambda *_: client.subscribe("mt/v1/+/+/counts", qos=1)
    client.on_subscribe = lambda *_: done.set()
    client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
    client.loop_start()
    assert done.wait(10)
    client.disconnect()
    client.loop_stop()


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT control packet."""
    length, size = bytearray(), len(body)
    while True:
        size, digit = size >> 7, size & 127
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def text(value: str) -> bytes:
    """An MQTT string."""
    return struct.pack("!H", len(value)) + value.encode()


def receive(way: str, broker: str, database: str, expected: str) -> None:
    """In a process of its own: take everything that is queued, print what it took as JSON."""
    (receive_bare if way == "bare" else receive_really)(broker, database, Clock(int(expected)))


def receive_bare(broker: str, _database: str, clock: "Clock") -> None:
    """Paho alone."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval, properties.ReceiveMaximum = 3600, 1000
    client = paho.Client(CallbackAPIVersion.VERSION2, RECEIVER, protocol=paho.MQTTv5, manual_ack=True)

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        client.ack(message.mid, message.qos)
        clock.took(1)

    client.on_message = on_message
    client.on_connect = lambda *_: clock.begin()
    client.connect("127.0.0.1", int(broker.rsplit(":", 1)[1]), clean_start=False, properties=properties)
    client.loop_start()
    clock.tell(client.disconnect)


def receive_really(broker: str, database: str, clock: "Clock") -> None:
    """The collector as `trap-server ingest` composes it, each commit timed."""
    from trap_contract.broker import BrokerAddress, Tls
    from trap_contract.logs import configure_logs
    from trap_server.database import open_database
    from trap_server.inbox import Inbox
    from trap_server.ingest import Ingest
    from trap_server.store import Committed, Store
    from trap_server.subscriber import Subscriber

    configure_logs(as_json=False)

    class TimedStore(Store):
        def commit(self, batch: Any) -> Committed:
            clock.begin()
            began = time.perf_counter()
            committed = super().commit(batch)
            clock.commits_s.append(time.perf_counter() - began)
            clock.took(committed.stored)
            return committed

    inbox = Inbox()
    subscriber = Subscriber(BrokerAddress.parse(broker, Tls()), RECEIVER, inbox, random.Random(1))  # noqa: S311
    ingest = Ingest(TimedStore(open_database(database), RECEIVER), subscriber, inbox, random.Random(2))  # noqa: S311
    gc.freeze()
    threading.Thread(target=ingest.run, daemon=True).start()
    clock.tell(ingest.stop)


class Clock:
    """From the first sign of messages until as many as expected are done."""

    def __init__(self, expected: int) -> None:
        self.commits_s: list[float] = []
        self._expected = expected
        self._began_s: float | None = None
        self._last_s = 0.0
        self._count = 0

    def begin(self) -> None:
        """The first call counts."""
        self._began_s = self._began_s or time.perf_counter()

    def took(self, count: int) -> None:
        """So many more are done."""
        self._count += count
        self._last_s = time.perf_counter()

    def tell(self, stop: Any) -> None:
        """Wait for the last, or until nothing has come for ten seconds; print, stop."""
        waited_s = time.perf_counter()
        while self._count < self._expected and time.perf_counter() - max(self._last_s, waited_s) < 10:
            time.sleep(0.05)
        memory = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        seconds = self._last_s - (self._began_s or 0)
        result = {"count": self._count, "seconds": seconds, "commits_s": self.commits_s}
        print(json.dumps(result | {"memory_mb": int(memory.split()[1]) / 1024}), flush=True)
        stop()
        os._exit(0)


def soak(windows: int) -> None:
    """Replay so many windows and print the collector's memory every tenth."""
    with tempfile.TemporaryDirectory() as place, running_broker(Path(place), extra=UNSAVED, verbose=False) as broker:
        file = Path(place) / "counts.db"
        command = [Path(sys.executable).parent / "trap-server", "ingest", "--until-stdin-closes"]
        command += ["--broker", broker.url, "--database", f"sqlite:///{file}"]
        open_session(broker)
        with subprocess.Popen(command, stdin=subprocess.PIPE) as ingest:
            part = max(REPLAY * TRAPS, windows // 10)
            for number in range(windows // part):
                began = time.perf_counter()
                publish(broker, messages(part, REPLAY, f"{number + 1:032x}"), part // REPLAY)
                stored = await_stored(file, (number + 1) * (part // REPLAY * REPLAY))
                seconds = time.perf_counter() - began
                print(f"{stored} windows stored, {resident_mb(ingest.pid):.0f} MB, {seconds:.0f} s with sending")
            ingest.terminate()


def stages(windows: int) -> str:
    """Microseconds of a window in each stage, in batches as ingest takes them."""
    from trap_server.database import open_database
    from trap_server.ingest import BATCH_MESSAGES
    from trap_server.sorting import Arrival, sort_arrivals
    from trap_server.store import Store

    arrivals = [Arrival(topic, payload, False, 1_790_000_000_000) for topic, payload in messages(windows, 1)]
    spent_s: dict[str, float] = {"sorting": 0.0, "commit": 0.0}
    with tempfile.TemporaryDirectory() as place:
        store = Store(open_database(f"sqlite:///{place}/counts.db"), RECEIVER)
        for first in range(0, windows, BATCH_MESSAGES):
            began_s = time.perf_counter()
            batch = sort_arrivals(arrivals[first : first + BATCH_MESSAGES])
            sorted_s = time.perf_counter()
            store.commit(batch)
            spent_s["sorting"] += sorted_s - began_s
            spent_s["commit"] += time.perf_counter() - sorted_s
    lines = [f"{name:<10}{1e6 * seconds / windows:>8.1f} us a window" for name, seconds in spent_s.items()]
    return "\n".join([*lines, f"{platform.platform()}, {processor()}", f"command: {' '.join(sys.argv)}"])


def await_stored(file: Path, count: int) -> int:
    """Until so many rows are in the file."""
    while (stored := rows_in(file)) < count:
        time.sleep(0.2)
    return stored


def rows_in(file: Path) -> int:
    """How many windows are stored; none while the collector has not made its tables."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            (stored,) = connection.execute("SELECT coalesce(max(id), 0) FROM windows").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(stored)


def resident_mb(pid: int) -> float:
    """Memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_result(found: dict[str, list[Result]], *, as_json: bool) -> None:
    """The result for people or programs."""
    rows = {way: summary(rounds, found.get("bare")) for way, rounds in found.items()}
    tools = {name: version(name) for name in ("paho-mqtt", "pydantic", "sqlalchemy", "psycopg")}
    tools |= {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "mosquitto": broker_version()}
    result = {"ways": rows, "tools": tools, "machine": f"{platform.platform()}, {os.cpu_count()} cores, {processor()}"}
    print(json.dumps(result) if as_json else as_table(result))


def summary(rounds: list[Result], bare: list[Result] | None) -> dict[str, Any]:
    """Rates of every round, the middle one beside the bare receiver's, commits and memory."""
    rates = [one.windows / one.seconds for one in rounds]
    commits = sorted(second for one in rounds for second in one.commits_s)
    ratios = [mine / (theirs.messages / theirs.seconds) for mine, theirs in zip(rates, bare or [], strict=False)]
    return {
        "windows_a_second": statistics.median(rates),
        "of_every_round": rates,
        "messages_a_second": statistics.median(one.messages / one.seconds for one in rounds),
        "of_bare": statistics.median(ratios) if ratios and rounds[0].messages == rounds[0].windows else None,
        "commit_p50_ms": quantile_ms(commits, 0.5),
        "commit_p99_ms": quantile_ms(commits, 0.99),
        "commits": len(commits),
        "memory_mb": max(one.memory_mb for one in rounds),
    }


def quantile_ms(ordered: list[float], part: float) -> float | None:
    """The value below which that part lies."""
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


def as_table(result: dict[str, Any]) -> str:
    """The result for people."""
    names = ("windows/s", "messages/s", "of bare", "commit p50", "p99 ms", "MB")
    lines = [f"{'way':<18}" + "".join(f"{name:>12}" for name in names) + "   every round, windows/s"]
    for way, row in result["ways"].items():
        values = [row["windows_a_second"], row["messages_a_second"], row["of_bare"], row["commit_p50_ms"]]
        values += [row["commit_p99_ms"], row["memory_mb"]]
        cells = ("-" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}" for value in values)
        rounds = " ".join(f"{rate:,.0f}" for rate in row["of_every_round"])
        lines.append(f"{way:<18}" + "".join(f"{cell:>12}" for cell in cells) + f"   {rounds}")
    tools = ", ".join(f"{name} {number}" for name, number in result["tools"].items())
    return "\n".join([*lines, tools, result["machine"], f"command: {' '.join(sys.argv)}"])


def broker_version() -> str:
    """What mosquitto calls itself."""
    from trap_deploy.demo import find_mosquitto

    told = subprocess.run([find_mosquitto(), "-h"], capture_output=True, text=True, check=False).stdout
    return told.split("version", 1)[-1].split()[0]


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
