"""What a user says of a table that is to be measured, here or on another device."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwsearch.device import detect
from hwsearch.device_profile import require_device_name
from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_extra
from hwsearch.journal import sha256_of
from hwsearch.kit.defaults import default_threads
from hwsearch.latency.transfer import LIKENESS, earlier_table
from hwsearch.profiling.by_profile import completed
from hwsearch.profiling.plan import Plan
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import check_precision
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.timm import SCHEME


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What to measure, how, and for how long."""

    space: str
    """Space of networks; also catalogue:FOLDER of ONNX files and timm:NAME,NAME=WEIGHTS."""

    runtime: str
    """Inference runtime: onnxruntime, openvino, tensorrt, torch or torch-aoti."""

    precision: str = "fp32"
    """Numbers that the engines compute in."""

    batch: int = 1
    """Images a call."""

    threads: int = 0
    """CPU threads a call; 0 means all cores, at most 4."""

    pace: float = 0.0
    """Calls a second, as a camera gives frames; engines rest between and find caches cold. 0
    calls back to back."""

    device: str = ""
    """Name for the machine that is measured; detected on it if left out. The profile of that
    name, if there is one, gives what no flag does: see hwsearch devices show."""

    budget_minutes: float = 5.0
    """Most time inside the measuring process; building comes on top."""

    max_temperature: float = 0.0
    """Rest while the machine is hotter, in degrees Celsius; 0 never rests."""

    evidence: int | None = None
    """Whole networks that predictors learn from, beside the blocks; left out, as many as the
    budget allows (for other devices 60). Of a catalogue all are measured."""

    heldout: int | None = None
    """Whole networks that predictors are judged by; left out, a third as many."""

    source: str = ""
    """Start from an earlier table of this space, such as another device's or another precision's:
    no blocks and at most 30 networks are measured, and correct what it predicts. auto takes the
    nearest: of the same runtime if there is one."""

    ships: tuple[str, ...] = ()
    """What ships around the networks and is measured too: heads such as classifier:1000,
    detection:80 or segmentation:21, and preprocessing such as camera:480 (pixels of a frame)."""

    seed: int = 0
    """Seed of the networks that are drawn and of the order of visits."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        for name in ("batch", "budget_minutes", "evidence"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise HwsearchError(f"--{name.replace('_', '-')} must be above 0")
        for name in ("threads", "heldout", "seed", "pace", "max_temperature"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise HwsearchError(f"--{name.replace('_', '-')} must not be below 0")
        if self.device:
            require_device_name(self.device)
        for text in self.ships:
            parse_extra(text)

    @classmethod
    def complete(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Adds what the profile of the named device says; what was given wins."""
        return completed(given)

    @property
    def tables_dir(self) -> Path | None:
        """Folder to look for the earlier table in first."""
        return None

    @property
    def whole(self) -> bool:
        """Whether every network of the space is measured, as those of a catalogue are."""
        return isinstance(get_space(self.space), Catalogue)

    def started_from(self, space: str, wanted: Mapping[str, Any]) -> tuple[str, str]:
        """Returns the earlier table as "device/name" and the hash of its file; empty if none.

        Args:
            space: Name of the space.
            wanted: The new table's values of `LIKENESS`.

        Raises:
            HwsearchError: If there is no such table.
        """
        if not self.source:
            return "", ""
        found = earlier_table(self.source, space, wanted, self.tables_dir)
        return f"{found.device}/{found.name}", sha256_of(found.path)

    def ready_space(self) -> Space:
        """Returns the space; networks of timm are exported first.

        Raises:
            HwsearchError: If there is no such space or network.
        """
        if self.space.startswith(SCHEME):
            from hwsearch.export.timm import export_timm

            export_timm(self.space)
        return get_space(self.space)


@dataclass(frozen=True, kw_only=True)
class ProfileOptions(MeasureOptions):
    """What to measure, and where the table goes."""

    out: Path = Path("latency_tables")
    """Folder of tables; the device gets a folder of its own in it."""

    fresh: bool = False
    """Forget an earlier run of the same name."""

    host: str = ""
    """Measure that machine over ssh, such as user@board; it has Python, NumPy and the runtime."""

    host_python: str = "python3"
    """Python 3.10 or newer of that machine."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work on this machine."""
        super().__post_init__()
        if not self.host and self.threads > (os.cpu_count() or 1):
            raise HwsearchError(
                f"--threads {self.threads} is more than this machine has",
                fix=f"Use 1 to {os.cpu_count()}",
            )

    @property
    def tables_dir(self) -> Path:
        """The folder that the new table goes to."""
        return self.out

    def plan(self) -> Plan:
        """Fills in what the machine decides, but for the number of networks.

        Raises:
            HwsearchError: If the space, the runtime or the precision is unknown.
        """
        check_precision(get_runtime(self.runtime), self.precision)
        plan = self._plan()
        wanted = {name: getattr(plan, name) for name in LIKENESS}
        source, source_sha256 = self.started_from(plan.space, wanted)
        return replace(plan, source=source, source_sha256=source_sha256)

    def _plan(self) -> Plan:
        return Plan(
            space=self.ready_space().name,
            runtime=self.runtime,
            precision=self.precision,
            batch=self.batch,
            threads=self.threads or default_threads(),
            pace_hz=self.pace,
            device=self.device or detect().name,
            seed=self.seed,
            evidence=0,
            heldout=0,
            ships=self.ships,
            budget_seconds=60 * self.budget_minutes,
            out=self.out,
        )
