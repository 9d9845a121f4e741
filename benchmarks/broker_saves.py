"""What it costs a broker to save at each change, beside saving each minute, while messages wait for a collector.

mosquitto writes its whole database at every save. Messages are queued for a collector that is away; then a thousand
traps' windows of a minute go on coming (17 messages a second), each answered by a PUBACK, for a while.

What it shows: one broker, one subscriber's queue, a file system that need not wait for a disk. What it does not show:
how long a disk lives.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest import broker_version, messages, open_session, packet, processor, publish, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from brokers import Broker, running_broker

WAYS = {"each change": "", "each minute": "autosave_on_changes false\nautosave_interval 60\n"}
LIMITS = "max_queued_messages 1000000\n"
A_SECOND = 17


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, nargs="+", default=[0, 1000, 10_000], help="messages that wait")
    parser.add_argument("--seconds", type=float, default=70, help="that more come: a minute and some")
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    rows = [measure(way, queued, flags.seconds) for queued in flags.queued for way in WAYS]
    result = {"rows": rows, "mosquitto": broker_version(), "python": platform.python_version()}
    result["machine"] = f"{platform.platform()}, {os.cpu_count()} cores, {processor()}"
    print(json.dumps(result) if flags.json else as_table(result))


def measure(way: str, queued: int, seconds: float) -> dict[str, Any]:
    """Fill the queue, then let more come."""
    print(f"saving {way}, {queued} waiting", file=sys.stderr)
    with (
        tempfile.TemporaryDirectory() as place,
        running_broker(Path(place), extra=LIMITS + WAYS[way], verbose=False) as broker,
    ):
        open_session(broker)
        began_s = time.perf_counter()
        if queued:
            publish(broker, messages(queued, 1), queued)
        filled_s = time.perf_counter() - began_s
        before, began_s = used(broker), time.perf_counter()
        answers_ms = list(trickle(broker, seconds))
        spent_s, after = time.perf_counter() - began_s, used(broker)
    return {
        "way": way,
        "queued": queued,
        "filled_s": filled_s,
        "written_mb_a_second": (after[0] - before[0]) / 1e6 / spent_s,
        "processor": (after[1] - before[1]) / spent_s,
        "puback_ms": answers_ms,
    }


def trickle(broker: Broker, seconds: float) -> Iterator[float]:
    """Milliseconds to the PUBACK of each of the messages that come."""
    count = int(seconds * A_SECOND)
    with socket.create_connection(("127.0.0.1", broker.port)) as link:
        link.sendall(packet(0x10, b"\0\4MQTT\4\2\0\0" + text("trickle")))
        link.recv(4)
        for number, (topic, payload) in enumerate(messages(count, 1, first=10**6)):
            began_s = time.perf_counter()
            link.sendall(packet(0x32, text(topic) + struct.pack("!H", number % 65535 + 1) + payload))
            link.recv(4)
            took_s = time.perf_counter() - began_s
            yield 1000 * took_s
            time.sleep(max(0.0, 1 / A_SECOND - took_s))


def used(broker: Broker) -> tuple[int, float]:
    """Bytes that the broker has written, and its seconds of processor."""
    assert broker.process is not None
    folder = Path(f"/proc/{broker.process.pid}")
    written = dict(line.split(": ") for line in (folder / "io").read_text().splitlines())["wchar"]
    times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    return int(written), sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def as_table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{'saves':<14}{'waiting':>9}{'filled s':>10}{'MB/s written':>14}{'processor':>11}   PUBACK ms: p50, max"]
    for row in result["rows"]:
        answers = row["puback_ms"]
        lines.append(
            f"{row['way']:<14}{row['queued']:>9}{row['filled_s']:>10.1f}{row['written_mb_a_second']:>14.1f}"
            f"{row['processor']:>11.0%}   {statistics.median(answers):.1f}, {max(answers):.1f}"
        )
    return "\n".join([*lines, f"mosquitto {result['mosquitto']}, {result['machine']}", " ".join(sys.argv)])


if __name__ == "__main__":
    main()
