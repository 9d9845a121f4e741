"""The power goes at random moments of booting and counting; in the end it boots, and everything is stored once."""

import time

from trap_deploy.boot.stage import Stage, since

CUTS = 20


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.site.await_counts(1, 1200)
    counting_s = since(guest)
    stage.notes["boot_to_first_count_s"] = counting_s
    moments = []
    for _ in range(CUTS):
        guest.cut()
        guest = stage.boot(greet=False)
        moments.append(round(stage.rng.uniform(0, 1.5 * counting_s), 1))
        time.sleep(moments[-1])
    guest.cut()
    stage.notes["cut_after_s"] = moments
    guest = stage.boot()
    stage.counting(guest)
    stage.settle(guest)
    stage.healthy(guest)
    stage.notes["fsck"] = guest.sh("journalctl -b -o cat -u 'systemd-fsck@*' | tail -5")
    guest.power_off()
