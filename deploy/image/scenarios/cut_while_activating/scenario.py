"""The power goes while a bundle is installed and made active: the trap boots, and counts with one of the two."""

import time

from trap_deploy.boot.stage import AGENT, STATE, Stage

INSTALL = (
    f"systemd-run --quiet --no-block -p DynamicUser=yes -p User=trap -p StateDirectory=trap "
    f"{AGENT} models install /opt/zancudo/share/factory.tflite --state-dir {STATE}"
)


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.site.await_counts(1, 1200)
    for cut in range(3):
        guest.sh(INSTALL)
        time.sleep(stage.rng.uniform(0.5, 20))
        guest.sh("systemctl restart --no-block trap-agent")
        time.sleep(stage.rng.uniform(0.1, 10))
        guest.cut()
        guest = stage.boot()
        stage.counting(guest)
        stage.notes[f"slots_after_cut_{cut + 1}"] = guest.sh(f"cat {STATE}/models/slots.json")
    stage.settle(guest)
    stage.healthy(guest)
    guest.power_off()
