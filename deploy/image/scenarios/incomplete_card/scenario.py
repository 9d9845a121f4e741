"""A trap that has no name and no broker starts, says so, and keeps its windows; completed, it delivers."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.counting(guest)
    status = stage.status(guest)
    stage.expect("trap is not set" in status and "broker is not set" in status, "both are named")
    stage.await_held(guest, 1, 900)
    stage.healthy(guest)
    guest.power_off()
    text = (stage.scenario / "trap.toml").read_text()
    name = status.split("trap ")[1].split("\n")[0]
    from trap_deploy.boot.machine import HOST

    whole = f'trap = "{name}"\nbroker = "mqtt://{HOST}:{stage.site.port}"\n{text}'
    stage.card.put("trap.toml", whole.encode())
    guest = stage.boot()
    stage.site.await_counts(2, 1200)
    stage.expect("trap.toml: good" in stage.status(guest), "the mended card is good")
    stage.settle(guest)
    guest.power_off()
