"""A trap carries no trainer and no server."""

import subprocess
import sys

PROBE = """
import importlib, pkgutil, sys

for name in ("torch", "torchvision", "ultralytics", "fastapi", "sqlalchemy", "uvicorn", "matplotlib"):
    sys.modules[name] = None  # any import of it fails
rooms = ("trap_training", "trap_export", "trap_server", "trap_deploy")
for name in rooms:
    sys.modules[name] = None

for package in ("trap_agent", "trap_contract", "trap_scene"):
    home = importlib.import_module(package)
    for module in pkgutil.walk_packages(home.__path__, package + "."):
        if not module.name.endswith("__main__") and ".runtimes." not in module.name:
            importlib.import_module(module.name)
print("imported", len([name for name in sys.modules if name.startswith("trap_")]))
"""


def test_every_module_of_the_agent_imports_without_trainer_or_server():
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("imported")


def test_the_command_line_shows_its_help_without_loading_vision_or_network():
    probe = "import sys, trap_agent.commands; print(sorted({'cv2', 'numpy', 'paho', 'pydantic'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "[]", run.stderr
