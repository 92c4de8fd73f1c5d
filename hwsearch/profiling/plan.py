"""One table's measuring, before and after: names, folders, what to measure, what is known."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hwsearch.device import fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields, read_journal
from hwsearch.latency.rows import table_name
from hwsearch.latency.table import Table
from hwsearch.profiling.models import Model, block_models, network_models, reference_models
from hwsearch.profiling.order import KIND
from hwsearch.profiling.summary import Log, table_of
from hwsearch.profiling.workshop import Built, Workshop
from hwsearch.spaces import get_space

SECONDS_A_BLOCK = 0.3
"""A block takes about this long to settle; of more blocks than fit the budget, every n-th is."""

FIX = "Repeat the first run's options, use another --out, or measure anew with --fresh"


@dataclass(frozen=True)
class Plan:
    """What one table takes.

    Attributes:
        space: Name of the space.
        runtime: Name of the runtime.
        precision: Numbers that the engines compute in.
        batch: Images a call.
        threads: CPU threads a call.
        device: Name of this machine.
        seed: Seed of networks and order.
        evidence: Number of networks to learn from.
        heldout: Number of networks to judge by.
        budget_seconds: Most time inside the measuring process.
        out: Folder of tables.
    """

    space: str
    runtime: str
    precision: str
    batch: int
    threads: int
    device: str
    seed: int
    evidence: int
    heldout: int
    budget_seconds: float
    out: Path

    @property
    def name(self) -> str:
        """Name of the table."""
        return table_name(self.space, self.runtime, self.precision, self.batch, self.threads)

    @property
    def table(self) -> Path:
        """The table's file."""
        return self.out / self.device / f"{self.name}.jsonl"

    @property
    def journal(self) -> Path:
        """The journal that the table summarises."""
        return self.table.parent / ".journal" / f"{self.name}.jsonl"

    @property
    def workshop(self) -> Workshop:
        """Where the engines are built."""
        folder = self.table.parent / ".work"
        return Workshop(folder, self.runtime, self.precision, self.batch)

    @cached_property
    def header(self) -> dict[str, Any]:
        """What all visits have in common, but for the references' hashes."""
        packages = ("hwsearch", "numpy", "onnx", "torch", self.runtime)
        names = ("space", "runtime", "precision", "batch", "threads", "device", "seed")
        return {
            **{name: getattr(self, name) for name in (*names, "evidence", "heldout")},
            "fingerprint": fingerprint(),
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in packages},
            },
        }

    def full_header(self, built: Mapping[str, Built]) -> dict[str, Any]:
        """The header of the journal."""
        hashes = [built[model.job].onnx_sha256 for model in reference_models()]
        return {**self.header, "references": hashes}

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """Whole networks, then blocks."""
        space = get_space(self.space)
        networks = network_models(space, self.evidence, self.heldout, seed=self.seed)
        limit = max(1, int(self.budget_seconds / SECONDS_A_BLOCK))
        return (*networks, *block_models(space, limit))

    @property
    def space_blocks(self) -> int:
        """How many different blocks the space has."""
        return len(block_models(get_space(self.space), sys.maxsize))

    def log(self) -> Log:
        """Reads the journal, if there is one.

        Raises:
            HwsearchError: If it is of other options, versions or another device.
        """
        if not self.journal.exists() or self.journal.stat().st_size == 0:
            return Log.of(())
        header, rows = read_journal(self.journal, KIND)
        same = {name: header.get(name) for name in self.header}
        if fields := differing_fields(same, self.header):
            raise HwsearchError(
                f"an earlier run differs ({'; '.join(fields)})", where=self.journal, fix=FIX
            )
        return Log.of(rows)

    def write_table(self) -> Table:
        """Derives the table from the journal and writes it, unless nothing has changed."""
        header, rows = read_journal(self.journal, KIND)
        log = Log.of(rows)
        try:
            old = Table.read(self.table)
            if old == table_of(self.table, header, log, self.models, date=old.header.date):
                return old
        except HwsearchError:
            pass  # there is none, or a damaged one
        table = table_of(self.table, header, log, self.models)
        table.write()
        return table
