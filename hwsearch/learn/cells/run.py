"""A search over cells: weights and architecture, then the cells that the architecture stands for.

Differentiable architecture search (DARTS, arXiv 1806.09055) with SimCLR's contrastive loss in place
of labels on both levels, as "One Network Doesn't Rule Them All" (arXiv 2203.08130) has it: one half
of the images teaches the weights, the other half the architecture. The architecture's parameters
are no weights: only Adam moves them, and neither SGD nor its weight decay does. What is left is
`genotype.json`, whose networks are the space `cells:OUT/genotype.json`, to be trained, profiled,
searched and deployed like any other.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from hwsearch.checkpoint import Checkpoint, Header
from hwsearch.data.sources import Source, open_source
from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.learn.cells.architecture import Architecture
from hwsearch.learn.cells.cost import STEPS, WatchedSearch, WatchedSession, compare
from hwsearch.learn.cells.discretise import alarm, discretise, skips
from hwsearch.learn.cells.figure import draw_cells, draw_shares
from hwsearch.learn.cells.learner import ArchitectureLearner
from hwsearch.learn.cells.options import CellOptions
from hwsearch.learn.cells.session import CellSession
from hwsearch.learn.halves import Halves
from hwsearch.nn.processes import world
from hwsearch.progress import say
from hwsearch.selfsup.settings import resolve
from hwsearch.spaces.genotype import Genotype
from hwsearch.train.distributed import joined
from hwsearch.train.hardware import Hardware, choose_hardware
from hwsearch.train.identity import chosen, header_of
from hwsearch.train.loop import METRICS_NAME, carry_out
from hwsearch.train.metrics import Metrics
from hwsearch.train.schedule import Schedule
from hwsearch.train.trainer import StepSettings

GENOTYPE_NAME, LEARNED_NAME = "genotype.json", "learned.json"
_DECIDING = (
    *("architecture_lr", "architecture_decay", "architecture_start"),
    *("second_order", "partial_channels"),
)
"""Options of the architecture that decide the result."""


def learn_cells(options: CellOptions) -> Path:
    """Searches over cells, or goes on with that.

    Returns:
        The search's folder: `genotype.json` holds the cells, `learned.json` what they cost and
        whether the search has collapsed, `cells.png` and `shares.png` show them.

    Raises:
        HwsearchError: If options, images or an earlier run do not fit, or the search diverges.
        SystemExit: If a signal asked to stop, after a checkpoint.
    """
    hardware = choose_hardware(options)
    if options.second_order:
        hardware = replace(hardware, amp="fp32")
    with joined(hardware.device):
        if world() > 1:
            raise HwsearchError("cells are learned by one process", fix="Run without torchrun")
        search = _Search(options, hardware, open_source(options.data))
        carry_out(options, hardware, search.header, search.session)
        search.finish()
    return options.out


class _Search:
    """All that a search is made of before it is in memory."""

    def __init__(self, options: CellOptions, hardware: Hardware, source: Source) -> None:
        self.options, self._hardware, self._source = options, hardware, source
        self._halves = Halves(source, options.batch, options.seed)
        header = header_of(
            options,
            source,
            hardware,
            settings=resolve(
                options.method,
                options.method_options(),
                images=len(self._halves.weights),
                batch=options.batch,
            ),
            steps=self._halves.steps_per_epoch * options.epochs,
            more=chosen(options, _DECIDING),
        )
        # A name that no space has: nothing but this search can use the weights of mixtures.
        self.header = replace(header, space=f"search over the cells of {options.space}")

    def _learner(self) -> ArchitectureLearner:
        architecture = Architecture(
            self.options.cell_space.family.genotype.nodes,
            weighs_edges=self.options.partial_channels > 1,
            seed=self.options.seed,
        )
        return ArchitectureLearner(
            architecture.to(self._hardware.device),
            lr=self.options.architecture_lr,
            weight_decay=self.options.architecture_decay,
        )

    def _shared(self, header: Header) -> Mapping[str, Any]:
        schedule = Schedule(
            steps=header.steps,
            lr=header.recipe["lr"],
            warmup_steps=round(self.options.warmup * header.steps),
            random_subnets=0,
            sampling="choices",
            seed=self.options.seed,
        )
        settings = StepSettings(
            schedule=schedule,
            optimizer=self.options.optimizer,
            weight_decay=self.options.weight_decay,
            clip_norm=self.options.clip_norm,
        )
        return {"settings": settings, "order": self._halves}

    def session(self, metrics: Metrics | None) -> CellSession:
        """Opens the search."""
        parts = (self._hardware, self.header, self._source, metrics)
        return CellSession(self._learner(), self.options, *parts, **self._shared(self.header))

    def finish(self) -> None:
        """Writes what was found and what it cost, and tells."""
        learner = self._learner()
        learner.restore(Checkpoint.load(self.options.out).header.progress["architecture"])
        genotype = discretise(learner.architecture)
        path = self.options.out / GENOTYPE_NAME
        replace(self.options.cell_space.family, genotype=genotype).write(path)
        cost, warning = self._cost(path), alarm(genotype, self.options.skip_limit)
        self._write_learned(genotype, learner.architecture, cost, warning)
        title = f"Cells learned without labels from {Path(self.options.data).name}"
        draw_cells(genotype, title, self.options.out)
        draw_shares(self.options.out / METRICS_NAME, genotype.nodes, title, self.options.out)
        if warning:
            say(f"Beware: {warning}")
        say(
            f"{self.options.out} has learned its cells in {self.header.steps} steps. A step takes "
            f"{cost['time_ratio']:.1f} times as long as one that trains the found network on the "
            f"same images, and {cost['memory_ratio']:.1f} times the memory. Next: hwsearch train "
            f"--space {quote(self._found_space(path))} --data {quote(self.options.data)} --out RUN"
        )

    def _found_space(self, path: Path) -> str:
        """Returns the space of the learned network, of the size that it was learned in."""
        return f"cells:{path.resolve()}[{self.options.cell_space.maximum}]"

    def _cost(self, path: Path) -> dict[str, float]:
        """Measures steps of the search and of the found network, on the same images."""
        short = replace(self.header, steps=STEPS)
        parts = (self._hardware, short, self._source, None)
        searched = replace(self.options, architecture_start=0.0, workers=0)
        alone = replace(searched, space=self._found_space(path))
        shared = self._shared(short)
        return compare(
            WatchedSearch(self._learner(), searched, *parts, **shared),
            WatchedSession(alone, *parts, **shared),
        )

    def _write_learned(
        self,
        genotype: Genotype,
        architecture: Architecture,
        cost: Mapping[str, float],
        warning: str,
    ) -> None:
        learned = {
            "steps": self.header.steps,
            "images": self._source.name,
            "skips_normal": skips(genotype),
            "skip_limit": self.options.skip_limit,
            "alarm": warning,
            "cost": dict(cost),
            "shares": dict(architecture.shares()),
        }
        text = json.dumps(learned, indent=1, ensure_ascii=False)
        write_atomic(self.options.out / LEARNED_NAME, text + "\n")
