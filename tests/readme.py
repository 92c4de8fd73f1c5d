"""Takes the README apart and does what it says in a folder of small images."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from every_space import some_subnets
from PIL import Image

from hwsearch.data.canvas import CanvasOptions, write_canvases
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.kinds import total_macs, total_params
from hwsearch.latency.table import Table
from hwsearch.spaces import get_space, space_names

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
OWN_FAMILY = "examples/own_family.py"
SMALLER = {
    "train": "--epochs 1 --batch 32",
    "profile": "--budget-minutes 0.3 --evidence 12 --heldout 3",
    "kit": "--budget-minutes 0.05 --evidence 2 --heldout 1",
    "search": "--evaluations 12 --max-images 32",
    "deploy": "--measure-seconds 2",
    "probe": "--limit 200",
    "correlate": "--per-bin 4 --max-images 32",
    "learn": "--epochs 2 --batch 32 --finalists 3",
    "study": "--epochs 1 --batch 32 --limit 200 --folds 2 --draws 100 --no-trial",
    "choose": "--networks 6 --max-images 32 --limit 200 --draws 100 --folds 2",
}
"""Flags that make a command short; all else is run as it stands."""


def blocks(language: str) -> list[str]:
    """Returns the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """Returns the command lines, in order, as words."""
    return [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]


def millions(count: int) -> str:
    """Returns a count in millions, three digits or all before the point."""
    return f"{count / 1e6:,.0f}" if count >= 1e9 else f"{count / 1e6:.3g}"


def families() -> str:
    """Returns the README's table of spaces, computed."""
    rows = ["| space | networks | dimensions | million multiply-accumulates | million parameters |"]
    rows += ["|---|---|---|---|---|"]
    for name in space_names():
        space = get_space(name)
        ends = [space.lower(subnet) for subnet in (space.minimum, space.maximum)]
        macs, params = (
            " to ".join(millions(count(blocks)) for blocks in ends)
            for count in (total_macs, total_params)
        )
        rows.append(f"| `{name}` | {space.size:,} | {len(space.dims)} | {macs} | {params} |")
    return "\n".join(rows)


def prepare(folder: Path) -> None:
    """Makes what the README supposes: photos, a few labelled ones, and one to try."""
    sizes = CanvasOptions(pretrain=64, target=32, labelled_train=100)
    canvases = write_canvases(folder / "canvases", options=sizes)
    canvases.pretrain.rename(folder / "photos")
    (folder / "canvases" / "labelled").rename(folder / "labelled")
    Image.fromarray(np.full((40, 30, 3), 128, dtype=np.uint8)).save(folder / "photo.png")
    for number, subnet in enumerate(some_subnets(get_space("basic-32"), 1)):
        net = seeded_network(get_space("basic-32").lower(subnet))
        export_network(net, folder / "models" / f"model{number}.onnx")
    (folder / OWN_FAMILY).parent.mkdir()
    shutil.copyfile(ROOT / OWN_FAMILY, folder / OWN_FAMILY)


def run_all(folder: Path) -> None:
    """Runs every command, then every Python block."""
    variables = {}
    for program, *words in commands():
        if program == "export":
            variables |= dict(word.split("=", 1) for word in words)
        if program == "hwsearch":
            smaller = SMALLER.get(words[0], "").split()
            if "--latency-ms" in words:  # one that this machine has, however fast it is
                smaller += ["--latency-ms", str(middle_ms(folder, value_of(words, "--table")))]
            run([sys.executable, "-m", "hwsearch", *words, *smaller], folder, variables)
        if program == "python3":
            run([sys.executable, *words], folder)
    for script in blocks("python"):
        run([sys.executable, "-W", "error", "-c", script], folder)


def value_of(words: list[str], flag: str) -> str:
    """Returns the word after a flag."""
    return words[words.index(flag) + 1]


def middle_ms(folder: Path, table: str) -> float:
    """Returns a latency between those of the fastest and the slowest network of a table."""
    (path,) = (folder / "latency_tables").glob(f"*/{table}.jsonl")
    measured = [row.latency_ms for row in Table.read(path).rows if row.kind == "network"]
    return round(float(np.sqrt(min(measured) * max(measured))), 4)


def run(words: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> None:
    """Runs one command, with more environment variables, and shows its output if it fails."""
    env = os.environ | dict(variables or {})
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
