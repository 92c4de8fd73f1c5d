"""A Python that has NumPy and ONNX Runtime and nothing else, and tells what it loaded."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

WATCH = """\
import atexit, os, sys
def tell():
    files = [name for name, module in sys.modules.items() if getattr(module, "__file__", None)]
    names = {name.partition(".")[0] for name in files} - set(sys.stdlib_module_names)
    with open(os.environ["LOADED"], "a") as file:
        file.write(" ".join(sorted(names)) + "\\n")
if "LOADED" in os.environ:
    atexit.register(tell)
"""


def make_bare(folder: Path, packages: tuple[str, ...]) -> Path:
    """Makes an environment that holds the named packages only; returns its Python."""
    command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in packages:
        home = Path(str(importlib.import_module(package).__file__)).parents[1]
        for path in home.glob(f"{package}*"):
            if path.name.partition("-")[0] in (package, f"{package}.libs"):
                (site / path.name).symlink_to(path)
    (site / "sitecustomize.py").write_text(WATCH)
    return folder / "bin" / "python"


def bare_environment(loaded: Path) -> dict[str, str]:
    """The process's environment without anything that leads to other packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"LOADED": str(loaded), "OMP_NUM_THREADS": "1"}
