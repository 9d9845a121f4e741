"""How long the collector's own code takes to bring a bundle to 1,000 invented traps, and what becomes of a bad one.

Shown: seconds of wall time and of processor time of the whole rehearsal (store, gate, driver, a SQLite database in
memory's file system), for a good model and for one that is bad on a tenth of the traps. Not shown: networks, brokers
and real traps.
"""

import argparse
import json
import platform
import resource
import sys
import time
from dataclasses import asdict

from trap_contract.logs import configure_logs
from trap_server.rollouts.fault import Fault
from trap_server.rollouts.plan import Plan
from trap_server.rollouts.simulation import World, rehearse

PLAN = Plan(rings=("1%", "10%", "100%"), per_minute=60, soak_s=3600, abort_share=0.05)


def processor_s() -> float:
    """Of this process, since it began."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(name: str, world: World) -> dict[str, object]:
    """One rehearsal, timed."""
    began_s, began_cpu_s = time.perf_counter(), processor_s()
    outcome = rehearse(PLAN, world)
    spent = {"wall_s": round(time.perf_counter() - began_s, 1), "processor_s": round(processor_s() - began_cpu_s, 1)}
    return {"case": name, **spent, **asdict(outcome)}


def main() -> None:
    """Run both cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traps", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    configure_logs(as_json=True)
    cases = [
        measured("good", World(traps=given.traps, bad_share=0.0)),
        measured("bad on 10 %", World(traps=given.traps, fault=Fault.blind)),
    ]
    told = {
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "plan": PLAN.model_dump(mode="json"),
        "cases": cases,
    }
    if given.json:
        print(json.dumps(told))
        return
    print(f"{told['command']}; Python {told['python']}, {told['machine']}")
    for case in cases:
        print(", ".join(f"{key} {value}" for key, value in case.items()))


if __name__ == "__main__":
    main()
