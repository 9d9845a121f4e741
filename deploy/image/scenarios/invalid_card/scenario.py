"""Mistakes in trap.toml are written back by line; what is right is used, and counts arrive."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.site.await_counts(1, 1200)
    status = stage.status(guest)
    stage.notes["status"] = status
    stage.expect("line 6: windw is not known here, did you mean window?" in status, "line 6 is named")
    stage.expect("line 10: wifi.password: a Wi-Fi password has 8 to 63 characters" in status, "line 10 is named")
    stage.expect(guest.sh("cat /run/zancudo/condition.json").startswith('{"code": 2'), "the light flashes twice")
    stage.healthy(guest)
    guest.power_off()
    stage.expect("line 6" in stage.card.get("trap-status.txt"), "the card tells it to a laptop")
