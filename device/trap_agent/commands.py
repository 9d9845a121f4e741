"""The commands of `trap-agent`."""
# ruff: noqa: ARG001 - typer knows options by parameters; the settings read them from the context

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from trap_contract.command import run_command
from trap_contract.errors import ConfigError

from trap_agent.model_commands import AgentStateDir, models

if TYPE_CHECKING:
    from trap_agent.tuning import Load

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

Model = Annotated[Path | None, typer.Option(help="A .tflite, .onnx or OpenVINO folder, or: installed.")]
Source = Annotated[
    str | None,
    typer.Option(
        help="folder:DIR, watch:DIR, video:FILE, camera:N, picamera:N, csi:N, rtsp://..., gstreamer:..., rendered"
    ),
]
Broker = Annotated[str | None, typer.Option(help="mqtt://[USER:PASS@]HOST[:PORT] or mqtts://...")]
ToStdout = Annotated[bool, typer.Option("--stdout", help="Print windows as JSON lines; no broker.")]
EveryFrame = Annotated[bool, typer.Option("--frames", help="With --stdout: print each frame's counts too.")]
Trap = Annotated[str | None, typer.Option(help="This trap's name [the host's].")]
Tenant = Annotated[str | None, typer.Option(help="Whose trap it is [default].")]
WindowLength = Annotated[float | None, typer.Option(help="Seconds in a counting window [60].")]
WhatCounts = Annotated[str | None, typer.Option("--semantics", help="occupancy, arrivals or catch_delta.")]
Tile = Annotated[int | None, typer.Option(help="Look at the picture in tiles of this many px.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the model [at most 4].")]
Threshold = Annotated[float | None, typer.Option(help="Least score that counts [the model's].")]
Fps = Annotated[float | None, typer.Option(help="Frames a second to look at [by source].")]
Hours = Annotated[str | None, typer.Option("--schedule", help="Look only then: '18:00-06:30 Europe/Madrid'.")]
StateDir = Annotated[Path | None, typer.Option(help="Where the outbox is kept [XDG state].")]
OutboxLimit = Annotated[int | None, typer.Option(help="Most windows kept there [1000000].")]
Drain = Annotated[float | None, typer.Option(help="Seconds to deliver the rest at stop [30].")]
Preview = Annotated[str | None, typer.Option(help="Serve a live view at [HOST:]PORT.")]
Trust = Annotated[Path | None, typer.Option(help="PEM of who must have signed the model.")]
Ca = Annotated[Path | None, typer.Option(help="mqtts: PEM of who signs the broker.")]
Cert = Annotated[Path | None, typer.Option(help="mqtts: PEM of this trap.")]
Key = Annotated[Path | None, typer.Option(help="mqtts: PEM of its private key.")]
Config = Annotated[Path | None, typer.Option(help="Settings file, TOML, same names as here.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")]

_NOT_SETTINGS = frozenset({"stdout", "frames", "config", "log_json", "pictures", "as_json"})


def main() -> None:
    """Entry point."""
    run_command(app)


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    *,
    model: Model = None,
    source: Source = None,
    broker: Broker = None,
    stdout: ToStdout = False,
    frames: EveryFrame = False,
    trap: Trap = None,
    tenant: Tenant = None,
    window: WindowLength = None,
    semantics: WhatCounts = None,
    tile: Tile = None,
    threads: Threads = None,
    threshold: Threshold = None,
    fps: Fps = None,
    schedule: Hours = None,
    state_dir: StateDir = None,
    outbox_limit: OutboxLimit = None,
    drain: Drain = None,
    preview: Preview = None,
    trust: Trust = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    config: Config = None,
    log_json: LogJson = False,
) -> None:
    """Count mosquitoes in what a source shows and deliver the counts.

    Settings: flags, else TRAP_* variables, else --config, else [defaults].
    Exit status: 0 all delivered, 1 an error, 3 windows wait in the outbox.
    """
    if context.invoked_subcommand is not None:
        return
    from trap_contract.logs import configure_logs

    from trap_agent.settings import AgentSettings, load_settings

    configure_logs(as_json=log_json)
    load = partial(load_settings, AgentSettings, _flags(context), config)
    raise typer.Exit(_run_agent(load, to_stdout=stdout, every_frame=frames))


def _flags(context: typer.Context) -> dict[str, object]:
    return {name: value for name, value in context.params.items() if name not in _NOT_SETTINGS}


def _run_agent(load: "Load", *, to_stdout: bool, every_frame: bool) -> int:
    from trap_agent.agent import StopRequest, deliver_windows, print_windows

    settings, request = load({}), StopRequest()
    request.install(reloads=not to_stdout)
    if to_stdout:
        print_windows(settings, request, sys.stdout, every_frame=every_frame)
        return 0
    if every_frame:
        raise ConfigError("--frames prints to standard output: give --stdout with it")
    broker = settings.broker_address
    if broker is None:
        raise ConfigError("nowhere to deliver: give --broker mqtt://HOST:PORT, or --stdout to see the counts")
    status = deliver_windows(settings, broker, request, load)
    if request.is_restart:
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program, from the start
    return status


@app.command()
def count(
    context: typer.Context,
    pictures: Annotated[list[Path], typer.Argument(help="Picture files or folders of them.", show_default=False)],
    *,
    model: Model = None,
    tile: Tile = None,
    threads: Threads = None,
    threshold: Threshold = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a picture, boxes in its px.")] = False,
) -> None:
    """Count what is in pictures, once."""
    from trap_contract.detector import Detector

    from trap_agent.counting import count_pictures, find_pictures
    from trap_agent.report import print_lines, print_table
    from trap_agent.settings import CountSettings, load_settings

    settings = load_settings(CountSettings, _flags(context))
    paths = find_pictures(pictures)
    detector = Detector.load(settings.model, settings.threads, settings.threshold, tiled=settings.tile is not None)
    counted = count_pictures(detector, paths, settings.tile)
    show = print_lines if as_json else print_table
    if show(counted, detector.manifest.classes, len(paths)):
        raise typer.Exit(1)


@app.command()
def outbox(
    *,
    state_dir: AgentStateDir,
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object.")] = False,
) -> None:
    """Show what became of every window ever issued."""
    from trap_agent.outbox import read_account
    from trap_agent.report import print_account

    print_account(read_account(state_dir), as_json=as_json)


app.add_typer(models, name="models")


@app.command()
def selftest(
    context: typer.Context,
    *,
    model: Model = None,
    source: Source = None,
    broker: Broker = None,
    trap: Trap = None,
    tenant: Tenant = None,
    threads: Threads = None,
    state_dir: StateDir = None,
    trust: Trust = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON object.")] = False,
) -> None:
    """Check camera, model, clock, disk, outbox and broker; stop the agent first.

    It sends one window in which nothing was observed, and waits for its
    acknowledgement. Exit status: 0 all is good, 1 something is not.
    """
    from trap_contract.logs import configure_logs

    from trap_agent.report import print_results
    from trap_agent.selftest import all_checks, run_checks
    from trap_agent.settings import AgentSettings, load_settings

    configure_logs(as_json=as_json)
    checks = all_checks(load_settings(AgentSettings, _flags(context), config))
    if print_results(run_checks(checks), len(checks), as_json=as_json):
        raise typer.Exit(1)
