"""Networks of timm as a catalogue: which ones a name asks for, and where they are kept."""

import hashlib
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.spaces.catalogue import Catalogue, read_catalogue
from hwsearch.spaces.registry import path_of, register_scheme

SCHEME = "timm:"

_REQUEST = re.compile(r"(?P<network>[A-Za-z0-9_.]+)(?:@(?P<side>[1-9]\d*))?(?:=(?P<weights>.+))?")


@dataclass(frozen=True)
class TimmRequest:
    """One network that is asked for.

    Attributes:
        network: What timm calls it.
        side: Height and width of the input in pixels; None for timm's own.
        weights: A local state dict; None for random weights.
    """

    network: str
    side: int | None
    weights: Path | None

    @property
    def name(self) -> str:
        """Name of the model in the catalogue."""
        return self.network + (f"-{self.side}" if self.side else "")

    def __str__(self) -> str:
        side = f"@{self.side}" if self.side else ""
        return f"{self.network}{side}" + (f"={self.weights}" if self.weights else "")


@dataclass(frozen=True)
class TimmRequests:
    """All networks of one space, in the order of their names."""

    networks: tuple[TimmRequest, ...]

    @classmethod
    def parse(cls, space: str) -> "TimmRequests":
        """Reads "timm:resnet18,mobilenetv3_small_100@160,resnet50=weights.safetensors".

        Raises:
            HwsearchError: If it cannot be read, or names a network twice or a missing file.
        """
        found: dict[str, TimmRequest] = {}
        for text in space.removeprefix(SCHEME).split(","):
            match = _REQUEST.fullmatch(text.strip())
            if not match:
                raise HwsearchError(
                    f"cannot read '{text}' in space '{space}'",
                    fix="Write timm:resnet18,mobilenetv3_small_100@160,resnet50=FILE.safetensors",
                )
            network, side, weights = match.group("network", "side", "weights")
            path = path_of(weights) if weights else None
            if path and not path.is_file():
                raise HwsearchError("there is no such file of weights", where=path)
            request = TimmRequest(network, int(side) if side else None, path)
            if request.name in found:
                raise HwsearchError(f"'{request.name}' is twice in space '{space}'")
            found[request.name] = request
        return cls(tuple(found[name] for name in sorted(found)))

    @property
    def space(self) -> str:
        """Name of the space."""
        return SCHEME + ",".join(map(str, self.networks))

    @property
    def folder(self) -> Path:
        """Where the exported networks are kept; safe to delete, for they are exported again.

        Raises:
            HwsearchError: If timm, whose version is part of the name, is not installed.
        """
        parts = [timm_version()]
        for request in self.networks:
            parts.append(request.name)
            parts.append(sha256_of(request.weights) if request.weights else "")
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "hwsearch" / "timm" / digest[:16]


def timm_version() -> str:
    """Returns the version of the installed timm, without importing it."""
    try:
        return version("timm")
    except PackageNotFoundError as cause:
        raise HwsearchError(
            "the package timm is not installed", fix="Run: pip install 'hwsearch[timm]'"
        ) from cause


@register_scheme("timm")
def _open(name: str) -> Catalogue:
    requests = TimmRequests.parse(name)
    if not requests.folder.is_dir():
        raise HwsearchError(
            "these networks of timm have not been exported here",
            where=requests.folder,
            fix=f"Run on this machine: hwsearch profile --space {name} --runtime onnxruntime",
        )
    return read_catalogue(requests.folder, requests.space)
