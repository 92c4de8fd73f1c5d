"""A delivery that is killed: no folder that it leaves may be loaded unless it is whole."""

import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from delivered import write_random_run
from kills_commands import SPACE, hwsearch, undisturbed, wait

from hwsearch.deploy.load import load
from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of


def kill_deploy(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Counts folders that can be loaded though they are not whole, and runs that fail."""
    run = write_random_run(SPACE, folder / "run")
    profiling = f"profile --space {SPACE} --runtime onnxruntime --threads 1 --budget-minutes 0.3"
    sizes = ["--evidence", "12", "--heldout", "3", "--device", "here"]
    undisturbed([*profiling.split(), *sizes, "--out", str(folder / "tables")])
    (table,) = (folder / "tables/here").glob("*.jsonl")
    out = folder / "engines" / "engine"
    recipe = f"deploy --subnet min --checkpoint {run} --images sklearn:digits --max-images 32"
    words = [*recipe.split(), "--table", str(table), "--measure-seconds", "2", "--out", str(out)]
    began = time.monotonic()
    undisturbed(words)
    took, whole = time.monotonic() - began, _delivered(out)
    assert whole is not None
    shutil.rmtree(out)
    rng, leftovers, half, done = random.Random(seed), 0, 0, 0
    while done < kills:
        process = hwsearch(words)
        wait(process, rng.uniform(0.1, 1.0) * took)
        if process.poll() is not None:
            assert process.returncode == 0, words
            shutil.rmtree(out)
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done += 1
        leftovers += out.with_name("engine.partial").exists()
        half += sum(_delivered(one) not in (None, whole) for one in out.parent.glob("*"))
        shutil.rmtree(out, ignore_errors=True)
    undisturbed(words)
    return {
        "kills": done,
        "seconds_undisturbed": round(took, 1),
        "leftover_folders": leftovers,
        "half_engines_loaded": half,
        "last_run_whole": _delivered(out) == whole,
        "folders_left": len(list(out.parent.iterdir())) - 1,
    }


def _delivered(folder: Path) -> dict[str, str] | None:
    """Tells an engine by its files and by what it computes; None if it cannot be loaded.

    Two runs measure other times, and ONNX Runtime writes the nodes of an equal graph in any order.
    """
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    try:
        with load(folder) as engine:
            computed = hashlib.sha256(engine(photo).tobytes()).hexdigest()
            told = ("manifest.json", "README.md", engine.manifest.engine)
    except HwsearchError:
        return None
    files = {path.name: sha256_of(path) for path in folder.iterdir() if path.name not in told}
    return files | {"computed": computed}
