"""What choice.py trains to choose among: a supernet, paths of clusters, and learned networks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learn_plan import DIGITS, SMALL

from hwsearch.learn import LearnOptions, learn
from hwsearch.routing.cluster import ClusterOptions, cluster
from hwsearch.train import TrainOptions, train

SPACE, PATHS = "bottleneck-32", "bottleneck-32^4"
CHILDREN, LEVELS = 4, 2
LIMITS_MS = (0.4, 0.75)
"""Below the first is half of the space as the table has it, below the other nearly all of it, and
the path of a leaf."""

LEARNED_SHARE = 0.97
"""Share of a limit that networks are learned to have: a learned latency is off by some percent."""

TABLES = tuple(
    f"amd-epyc-milan-2c/{space}-onnxruntime-fp32-b1-t1"
    for space in (SPACE, "bottleneck-32-4-f005de88")
)
RECIPE: dict[str, Any] = {
    **{"method": "moco-v2", "queue": 0, "ema": 0.99, "batch": 128, "optimizer": "adamw"},
    **{"lr": 0.002, "residual_scale": 1.0, "projection_hidden": 512, "tensorboard": False},
}


@dataclass(frozen=True)
class Ways:
    """Runs that one set of images trains by one recipe, each for as many passes.

    Attributes:
        images: What trains.
        keep: Folder for runs; one that is there goes on, or is finished.
        epochs: Passes of each.
        device: Where they compute.
        tables: Latency tables of the space and of its paths.
    """

    images: str
    keep: Path
    epochs: int
    device: str = "cpu"
    tables: tuple[str, ...] = TABLES
    recipe: Mapping[str, Any] = field(default_factory=lambda: RECIPE)

    def options(self) -> dict[str, Any]:
        """Trains everything; returns what hwsearch choose takes of it."""
        return {
            "checkpoint": self.supernet(),
            "paths": self.paths(),
            "clusters": self.keep / "tree",
            "learned": tuple(map(self.learned, LIMITS_MS)),
            "tables": self.tables,
            "budgets_ms": LIMITS_MS,
        }

    def supernet(self) -> Path:
        """Trains the supernet."""
        return self._trained("supernet", SPACE)

    def paths(self) -> Path:
        """Trains the whole network of channel groups, the tree of its features, then the paths."""
        whole, tree = self._trained("whole", f"{PATHS}[max]"), self.keep / "tree"
        size = {"children": CHILDREN, "levels": LEVELS}
        cluster(ClusterOptions(checkpoint=whole, images=self.images, out=tree, **size))
        phases = (self.epochs // LEVELS,) * LEVELS
        return self._trained("paths", PATHS, warm_start=whole, clusters=tree, phases=phases)

    def learned(self, limit_ms: float) -> Path:
        """Learns a network that is predicted to be within a limit, and trains it alone."""
        out = self.keep / f"learn-{limit_ms:g}"
        simclr = {k: v for k, v in self.recipe.items() if k not in ("method", "queue", "ema")}
        known = {"latency_ms": LEARNED_SHARE * limit_ms, "confirm": False}
        learn(
            LearnOptions(space=SPACE, table=self.tables[0], **known, **self._common(out), **simclr)
        )
        told = json.loads((out / "learned.json").read_text())["subnet"]
        subnet = ",".join(f"{name}={value}" for name, value in told.items())
        return self._trained(f"learned-{limit_ms:g}", f"{SPACE}[{subnet}]")

    def _trained(self, name: str, space: str, **more: Any) -> Path:
        common = self._common(self.keep / name)
        train(TrainOptions(space=space, **common, **self.recipe, **more))
        return self.keep / name

    def _common(self, out: Path) -> dict[str, Any]:
        told = {"data": self.images, "out": out, "resume": out.exists(), "epochs": self.epochs}
        return told | {"device": self.device}


def reduced(keep: Path, device: str) -> Ways:
    """Returns runs of a few minutes, on images that everyone has."""
    return Ways(DIGITS, keep, 8, device, recipe=RECIPE | SMALL)
