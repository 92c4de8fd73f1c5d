"""The order of a build folder: which engine is to be built, checked and measured, and from what.

Shapes: N stored images.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsearch.kit.listing import Kind, with_references
from hwsearch.measurement import Scale

ORDER, PROGRAM, INPUTS, EXPECTED = "order.json", "build_engine.pyz", "inputs.npy", "expected.npz"
"""What lies in a build folder beside the files of the network."""

MANIFEST = "manifest.json"
"""What describes the finished engine."""

ENGINE = "engine"
"""Name of the one job."""

_FILE = re.compile(r"[A-Za-z0-9_]{1,64}\.[a-z0-9]{1,12}")
_KIND = Kind("hwsearch-delivery", 1, "build folder", "order", "hwsearch deploy")


@dataclass(frozen=True)
class Delivery:
    """One network that is to become an engine on another device.

    Attributes:
        header: What all visits have in common, but for what the device itself decides.
        fingerprint: Of the device that the latency table is of.
        threads: CPU threads a call, as in the table.
        measure_seconds: Most time for measuring unless the device's user says.
        nominal_ms: Latencies of the small and the large reference, as the table has them.
        exponents: Of the table's correction.
        files: Hashes of all files but this one, by name.
        kept: The files that belong to the finished engine.
        model: The file that the engine is built from.
        references: Files of the small and the large reference.
        manifest: Fields of the finished manifest, those empty that only the device can tell.
    """

    header: dict[str, Any]
    fingerprint: dict[str, str]
    threads: int
    measure_seconds: float
    nominal_ms: tuple[float, float]
    exponents: tuple[float, float]
    files: dict[str, str]
    kept: tuple[str, ...]
    model: str
    references: tuple[str, str]
    manifest: dict[str, Any]

    ships = ()
    """Nothing ships around the engine that is measured, as with a kit that has none."""

    @property
    def identity(self) -> str:
        """Hash of what results depend on: not of how long they are measured."""
        same = asdict(self) | {"measure_seconds": 0}
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()

    @property
    def jobs(self) -> dict[str, str]:
        """File by job."""
        return {ENGINE: self.model}

    @property
    def built_from(self) -> dict[str, str]:
        """Hashes of the files by job, the references among them; see `with_references`."""
        files = with_references(self.references, self.jobs)
        return {job: self.files[name] for job, name in files.items()}

    @property
    def scale(self) -> Scale:
        """How visits become milliseconds that can be compared with the table's."""
        return Scale(self.nominal_ms, self.exponents)

    @property
    def images(self) -> int:
        """How many images are stored."""
        return self.manifest["parity"]["images"]

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the engine's outputs for the stored images, [N, ...], by name."""
        outputs = self.manifest["outputs"]
        return {output["name"]: (self.images, *output["shape"]) for output in outputs}

    def expected(self, folder: Path) -> dict[str, np.ndarray]:
        """Reads what the float network gives for the stored images, by output."""
        with np.load(folder / EXPECTED, allow_pickle=False) as stored:
            return {name: stored[f"arr_{place}"] for place, name in enumerate(self.outputs)}

    def write(self, path: Path) -> None:
        """Writes the order as JSON."""
        _KIND.write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Delivery":
        """Reads what `write` wrote.

        Raises:
            HwsearchError: If there is none, or it is damaged or of another version.
        """
        return _KIND.read(path, lambda values: cls(**_checked(values)))


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses names that could lead out of the folder; raises ValueError, KeyError or TypeError."""
    files, kept, model = dict(values["files"]), tuple(values["kept"]), values["model"]
    pairs = {}
    for name in ("references", "nominal_ms", "exponents"):
        first, second = values[name]
        pairs[name] = (first, second)
    if not all(_FILE.fullmatch(name) for name in files):
        raise ValueError
    if not {model, *pairs["references"], *kept, INPUTS, EXPECTED} <= set(files):
        raise ValueError
    return {**values, **pairs, "files": files, "kept": kept}
