"""The power goes while a backlog is being delivered: after the next boot everything is stored once."""

import time

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.site.stop()
    stage.provision()
    guest = stage.boot()
    stage.counting(guest)
    stage.await_held(guest, 4, 1200)
    stage.site.start()
    deadline = time.monotonic() + 300
    while int(stage.site.check()["stored"]) < 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    guest.cut()
    stage.notes["stored_at_the_cut"] = stage.site.check()["stored"]
    guest = stage.boot()
    stage.counting(guest)
    stage.settle(guest)
    stage.healthy(guest)
    guest.power_off()
