"""A bundle that passed its installation and then does not load is given up by itself; the one before counts again."""

from trap_deploy.boot.stage import AGENT, STATE, Stage

AS_TRAP = "systemd-run --quiet --wait --pipe -p DynamicUser=yes -p User=trap -p StateDirectory=trap"


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.site.await_counts(1, 1200)
    install = f"{AS_TRAP} {AGENT} models install /opt/zancudo/share/factory.tflite --state-dir {STATE}"
    guest.sh("systemctl stop trap-agent", 200)
    guest.sh(f'sed -i \'s/"trial":{{[^}}]*}}/"trial":null/\' {STATE}/models/slots.json')
    guest.sh(install, 600)
    guest.sh(f"truncate -s 1000000 {STATE}/models/b/factory.tflite")
    guest.sh("systemctl start --no-block trap-agent")
    guest.wait(f"grep -q 'rolled back' {STATE}/models/slots.json", 1800, 10)
    stage.notes["slots"] = guest.sh(f"cat {STATE}/models/slots.json")
    stage.site.await_counts(stage.site.counted() + 2, 900)
    stage.settle(guest)
    guest.power_off()
