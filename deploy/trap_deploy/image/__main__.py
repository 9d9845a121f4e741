"""`python -m trap_deploy.image`: what `make image` runs."""

from pathlib import Path
from typing import Annotated

import typer
from trap_contract.command import run_command

from trap_deploy.image.build import build_image
from trap_deploy.image.mirrors import Mirrors

ROOT = Path(__file__).resolve().parents[3]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def image(
    *,
    out: Annotated[Path, typer.Option(help="where the image goes")] = ROOT / "dist" / "image",
    cache: Annotated[Path, typer.Option(help="what is kept between builds")] = ROOT / ".cache" / "image",
    flavour: Annotated[str, typer.Option(help="debian, or csi: Raspberry Pi's kernel and Picamera2")] = "debian",
    mirror: Annotated[str | None, typer.Option(help="Debian's archive [as this machine's apt]")] = None,
    security_mirror: Annotated[str | None, typer.Option(help="its security updates [likewise]")] = None,
    further_mirror: Annotated[str | None, typer.Option(help="Raspberry Pi's archive, for csi")] = None,
) -> None:
    """Build the trap's SD card image; as root, for it makes files that belong to others."""
    build_image(ROOT, out, cache, Mirrors.choose(mirror, security_mirror, further_mirror), flavour=flavour)


if __name__ == "__main__":
    run_command(app)
