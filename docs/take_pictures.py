"""Take the documents' pictures of the pages from the running demo: `make pictures`."""

import subprocess
import sys
from pathlib import Path

from trap_deploy.demo import TRAP
from trap_deploy.page_picture import take_pictures

DOCS = Path(__file__).resolve().parent
HTTP_PORT, MQTT_PORT = 8767, 18832
DEMO_SECONDS, LOOK_AFTER_LINES = 75, 28


def main() -> None:
    """Run the demo, wait for enough windows to make a curve, and take the picture."""
    command = [sys.executable, "-m", "trap_deploy.demo", "--seconds", str(DEMO_SECONDS)]
    command += ["--http-port", str(HTTP_PORT), "--mqtt-port", str(MQTT_PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        for number, line in enumerate(demo.stdout or ()):
            print(line, end="")
            if line.startswith("dashboard: "):
                address = line.split()[1]
            if number == LOOK_AFTER_LINES:
                take_pictures(address, {"/": DOCS / "dashboard.png", f"/traps/default/{TRAP}": DOCS / "trap-page.png"})
    sys.exit(demo.returncode)


if __name__ == "__main__":
    main()
