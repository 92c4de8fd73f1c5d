"""Takes the README apart and does what it says in a folder of small images."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.data.canvas import CanvasOptions, write_canvases

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
SMALLER = {
    "train": "--epochs 1 --batch 32",
    "profile": "--budget-minutes 0.3 --evidence 12 --heldout 3",
    "search": "--evaluations 12 --population 4 --max-images 32",
    "deploy": "--measure-seconds 2",
    "probe": "--limit 200",
}
"""Flags that make a command short; all else is run as it stands."""


def blocks(language: str) -> list[str]:
    """Returns the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Returns the command lines, in order, as words."""
    return [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]


def prepare(folder: Path) -> None:
    """Makes what the README supposes: photos, a few labelled ones, and one to try."""
    sizes = CanvasOptions(pretrain=64, target=32, labelled_train=100)
    canvases = write_canvases(folder / "canvases", options=sizes)
    canvases.pretrain.rename(folder / "photos")
    (folder / "canvases" / "labelled").rename(folder / "labelled")
    Image.fromarray(np.full((40, 30, 3), 128, dtype=np.uint8)).save(folder / "photo.png")


def run_all(folder: Path) -> None:
    """Runs every command, then every Python block."""
    for program, *words in commands():
        if program == "hwsearch":
            smaller = SMALLER.get(words[0], "").split()
            run([sys.executable, "-m", "hwsearch", *words, *smaller], folder)
    for script in blocks("python"):
        run([sys.executable, "-W", "error", "-c", script], folder)


def run(words: list[str], folder: Path) -> None:
    """Runs one command and shows its output if it fails."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
