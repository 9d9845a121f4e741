"""Without a broker the trap counts and says so; once it is there, everything is stored once."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.site.stop()
    stage.provision()
    guest = stage.boot()
    stage.counting(guest)
    stage.await_held(guest, 3, 900)
    guest.wait("grep -q '\"code\": 4' /run/zancudo/condition.json", 120)
    stage.notes["status"] = stage.await_status(guest, "can't be reached", 300)
    stage.site.start()
    stage.site.await_counts(3, 900)
    guest.wait("grep -q '\"code\": 1' /run/zancudo/condition.json", 300)
    stage.settle(guest)
    guest.power_off()
