"""One table's measuring, before and after: names, folders, what to measure, what is known."""

import math
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
from hwsearch.heads import parse_extra
from hwsearch.journal import Journal, differing_fields, read_begun, read_journal
from hwsearch.kit.engines import Built
from hwsearch.kit.order import KIND
from hwsearch.latency.rows import table_name
from hwsearch.latency.table import Table
from hwsearch.measurement import PROTOCOL
from hwsearch.profiling.models import (
    Model,
    block_models,
    extra_models,
    max_blocks,
    reference_models,
    seconds_a_block,
    table_models,
)
from hwsearch.profiling.summary import Log, table_of
from hwsearch.profiling.workshop import Workshop
from hwsearch.runtime import get_runtime
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue

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
        pace_hz: Calls a second; 0 means back to back.
        device: Name of this machine.
        seed: Seed of networks and order.
        evidence: Number of networks to learn from; 0 for a catalogue, which is measured whole.
        heldout: Number of networks to judge by; likewise.
        ships: Heads and preprocessing whose blocks are measured too.
        budget_seconds: Most time inside the measuring process.
        out: Folder of tables.
        source: Table that this one starts from, as "device/name"; empty for most.
        source_sha256: Hash of its file.
    """

    space: str
    runtime: str
    precision: str
    batch: int
    threads: int
    pace_hz: float
    device: str
    seed: int
    evidence: int
    heldout: int
    ships: tuple[str, ...]
    budget_seconds: float
    out: Path
    source: str = ""
    source_sha256: str = ""

    @property
    def name(self) -> str:
        """Name of the table."""
        return table_name(
            self.space,
            self.runtime,
            self.precision,
            batch=self.batch,
            threads=self.threads,
            pace_hz=self.pace_hz,
        )

    @property
    def table(self) -> Path:
        """The table's file."""
        return self.out / self.device / f"{self.name}.jsonl"

    @property
    def journal(self) -> Path:
        """The journal that the table summarises."""
        return self.table.parent / ".journal" / f"{self.name}.jsonl"

    def alone(self) -> Journal:
        """Keeps other runs from this table until it is closed.

        Raises:
            Busy: If another run measures it.
        """
        return Journal.open(self.journal.with_suffix(".lock"), "lock", {})

    @property
    def workshop(self) -> Workshop:
        """Where the engines are built."""
        folder = self.table.parent / ".work"
        return Workshop(folder, self.runtime, self.precision, self.batch)

    @cached_property
    def header(self) -> dict[str, Any]:
        """What all visits have in common, but for the references' hashes."""
        from hwsearch.export.precision import converter_versions

        packages = ("hwsearch", "numpy", "onnx", "torch")
        names = ("space", "runtime", "precision", "batch", "threads", "pace_hz", "device", "seed")
        more = ("evidence", "heldout", "source", "source_sha256")
        return {
            "protocol": PROTOCOL,
            **{name: getattr(self, name) for name in (*names, *more)},
            "fingerprint": fingerprint(),
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in packages},
                self.runtime: get_runtime(self.runtime).version,
                **converter_versions(self.runtime, self.precision),
            },
        }

    def full_header(self, built: Mapping[str, Built]) -> dict[str, Any]:
        """The header of the journal."""
        hashes = [built[model.job].model_sha256 for model in reference_models()]
        return {**self.header, "references": hashes}

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """Whole networks, then what ships around them, then blocks, those of earlier runs kept."""
        return table_models(
            get_space(self.space),
            batch=self.batch,
            evidence=self.evidence,
            heldout=self.heldout,
            seed=self.seed,
            ships=self._all_ships,
            max_blocks=0 if self.source else max_blocks(self.budget_seconds, self.pace_hz),
            known=self.log().engines,
        )

    @cached_property
    def _all_ships(self) -> tuple[str, ...]:
        """What this run and earlier ones into the same journal were asked for."""
        return tuple(sorted({*self.ships, *self.log().ships}))

    @cached_property
    def _shipped(self) -> tuple[Model, ...]:
        return extra_models(get_space(self.space), map(parse_extra, self._all_ships))

    @property
    def every_block(self) -> int:
        """How many blocks there are; none where networks are not taken apart."""
        space = get_space(self.space)
        whole = isinstance(space, Catalogue) or bool(self.source)
        own = 0 if whole else len(block_models(space, sys.maxsize))
        return own + len(self._shipped)

    def is_measured(self, log: Log) -> bool:
        """Whether measuring has ended and would not go on with this budget."""
        if log.ended != "settled":
            return log.budget_seconds >= self.budget_seconds
        return {model.job for model in self.models} <= log.seen

    def require_ships(self, log: Log) -> None:
        """Refuses to let more ship than before if that would not be measured any more.

        Raises:
            HwsearchError: If the budget is spent.
        """
        if {*self.ships} - {*log.ships} and (error := self.lacking_ships(log)):
            raise error

    def lacking_ships(self, log: Log) -> HwsearchError | None:
        """Returns what to tell if the budget was spent before all that ships was measured."""
        asked = extra_models(get_space(self.space), map(parse_extra, self.ships))
        lacking = [model.key for model in asked if model.job not in log.seen]
        if not lacking:
            return None
        seconds = 2 * len(lacking) * seconds_a_block(self.pace_hz)
        minutes = math.ceil((self.budget_seconds + seconds) / 6 + 1) / 10
        return HwsearchError(
            f"the budget was spent before {len(lacking)} blocks of what ships were measured, "
            f"such as {lacking[0]}",
            fix=f"Go on with --budget-minutes {minutes:g}",
        )

    def log(self) -> Log:
        """Reads the journal, if there is one.

        Raises:
            HwsearchError: If it is of other options, versions or another device.
        """
        header, rows = read_begun(self.journal, KIND)
        if not header:
            return Log.of(())
        same = {name: header.get(name) for name in self.header}
        if fields := differing_fields(same, self.header):
            raise HwsearchError(
                f"an earlier run differs ({'; '.join(fields)})", where=self.journal, fix=FIX
            )
        return Log.of(rows)

    def require_own_table(self) -> None:
        """Refuses a table that is not of the journal: the next one would replace it.

        Raises:
            HwsearchError: If there is a table, and more was measured for it than is known here.
        """
        known = len(self.log().visits)
        if self.table.exists() and (not known or known < _visits_of(self.table)):
            raise HwsearchError(
                "this table comes from measurements that are not here, and would be replaced",
                where=self.table,
                fix="Use another --out, or replace it with --fresh",
            )

    def write_table(self) -> Table:
        """Derives the table from the journal and writes it, unless nothing has changed.

        Raises:
            HwsearchError: If nothing was measured.
        """
        header, rows = read_journal(self.journal, KIND)
        log = Log.of(rows)
        if not log.visits:
            told = [f", {job}: {reason}" for job, reason in log.failed.items()]
            raise HwsearchError(
                f"nothing was measured before the end{''.join(told[:1])}",
                where=self.journal,
                fix="Go on with a larger --budget-minutes",
            )
        try:
            old = Table.read(self.table)
            if old == table_of(self.table, header, log, self.models, date=old.header.date):
                return old
        except HwsearchError:
            pass  # there is none, or a damaged one
        table = table_of(self.table, header, log, self.models)
        table.write()
        return table


def _visits_of(path: Path) -> int:
    """Returns how many visits a table comes from, 0 if it is damaged."""
    try:
        return Table.read(path).header.visits
    except HwsearchError:
        return 0
