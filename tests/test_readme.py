"""The commands of the README, run in their order: the end-to-end test."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwsearch.data.canvas import CanvasOptions, write_canvases

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SMALLER = {
    "train": "--epochs 2 --batch 64",
    "profile": "--budget-minutes 0.5",
    "search": "--evaluations 24",
}
"""Flags that make a command short; all else is run as it stands."""


def blocks(language: str) -> list[str]:
    """Returns the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


COMMANDS = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    """A folder as the README supposes it: photos, a few labelled ones, and one to try."""
    folder = tmp_path_factory.mktemp("user")
    sizes = CanvasOptions(pretrain=128, target=32, labelled_train=100)
    canvases = write_canvases(folder / "canvases", options=sizes)
    canvases.pretrain.rename(folder / "photos")
    (folder / "canvases" / "labelled").rename(folder / "labelled")
    Image.fromarray(np.full((40, 30, 3), 128, dtype=np.uint8)).save(folder / "photo.png")
    return folder


def run(words: list[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_their_order(user_folder):
    for words in COMMANDS:
        if words[0] == "hwsearch":
            smaller = SMALLER.get(words[1], "").split()
            run([sys.executable, "-m", *words, *smaller], user_folder)
    for script in blocks("python"):
        run([sys.executable, "-W", "error", "-c", script], user_folder)


def test_the_other_commands_of_the_readme_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for program, *rest in COMMANDS:
        if program == "make":
            assert rest[0] in targets
        else:
            assert program in ("hwsearch", "pip")


def test_the_files_that_the_readme_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
