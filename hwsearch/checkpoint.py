"""Checkpoints: one safetensors file that holds all a training run needs to go on or be used."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of, write_atomic
from hwsearch.nn import Supernet
from hwsearch.selfsup import get_method
from hwsearch.selfsup.base import Method, Weights
from hwsearch.selfsup.distil import Distilled, TaughtMethod
from hwsearch.selfsup.heads import Embedder
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.specialised import Specialised
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

CHECKPOINT_NAME = "checkpoint.safetensors"
FORMAT = "hwsearch-checkpoint"
SCHEMA = 1
"""History: 1, the first."""
_METHOD, _OPTIMISER = "method.", "optimiser."
_OTHER_VERSION = "Use the hwsearch that wrote it, or train again"


@dataclass(frozen=True)
class Header:
    """What a checkpoint says about itself.

    Attributes:
        space: Registered name of the space.
        method: Registered name of the method.
        settings: What the method was told.
        recipe: Everything else that decides the result; a resumed run must have the same.
        step: Training steps done.
        steps: Training steps of the whole run.
        progress: Where the loader, the loss scaler and the watch for collapse stand.
    """

    space: str
    method: str
    settings: MethodSettings
    recipe: Mapping[str, Any]
    step: int
    steps: int
    progress: Mapping[str, Any]


_KNOWN = {field.name for known in (Header, MethodSettings) for field in fields(known)}


@dataclass(frozen=True)
class Checkpoint:
    """Header and tensors of a training run at one step.

    Attributes:
        header: What the tensors are.
        method: State dict of the method: online and EMA weights, heads, queue.
        optimiser: State of the optimiser, by kind of state and name of the parameter.
    """

    header: Header
    method: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]

    def save(self, run: Path) -> None:
        """Replaces the run's checkpoint; a crash leaves the old one or the new one.

        Raises:
            HwsearchError: If it cannot be written; the old one is intact.
        """
        tensors = {_METHOD + name: value for name, value in self.method.items()}
        tensors |= {_OPTIMISER + name: value for name, value in self.optimiser.items()}
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        about = {"format": FORMAT, "schema": SCHEMA, **asdict(self.header)}
        text = json.dumps(about, allow_nan=False, sort_keys=True)
        try:
            write_atomic(run / CHECKPOINT_NAME, save(tensors, {"hwsearch": text}))
        except HwsearchError as cause:
            raise HwsearchError(
                f"{cause.what}; the checkpoint before it is intact",
                where=cause.where,
                fix="Free some space and run the same command with --resume",
            ) from cause

    @classmethod
    def load(cls, run: Path) -> "Checkpoint":
        """Reads the checkpoint of a run into the CPU's memory.

        Raises:
            HwsearchError: If there is none, or it is damaged or of another format.
        """
        path = run / CHECKPOINT_NAME
        if not path.is_file():
            raise HwsearchError(
                "no checkpoint here", where=path, fix="Name the --out folder of hwsearch train"
            )
        try:
            with safe_open(path, framework="pt") as file:
                about = (file.metadata() or {}).get("hwsearch")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as cause:
            raise _damaged(path, cause) from cause
        return cls(
            _read_header(about, path),
            _with_prefix(tensors, _METHOD),
            _with_prefix(tensors, _OPTIMISER),
        )


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _read_header(text: str | None, path: Path) -> Header:
    try:
        about: dict[str, Any] = json.loads(text) if text else {}
        found = (about.pop("format", "another safetensors file"), about.pop("schema", 0))
    except (ValueError, AttributeError, TypeError, RecursionError) as cause:
        raise _damaged(path, cause) from cause
    if found != (FORMAT, SCHEMA):
        what = f"this is {found[0]} version {found[1]}, not {FORMAT} version {SCHEMA}"
        raise HwsearchError(what, where=path, fix=_OTHER_VERSION)
    try:
        header = msgspec.convert(about, Header)
    except msgspec.ValidationError as cause:
        raise _damaged(path, cause) from cause
    if unknown := (about.keys() | about["settings"].keys()) - _KNOWN:
        names = ", ".join(sorted(unknown))
        what = f"the checkpoint says what this hwsearch does not know: {names}"
        raise HwsearchError(what, where=path, fix=_OTHER_VERSION)
    return header


def _damaged(path: Path, cause: Exception) -> HwsearchError:
    what = f"the checkpoint is truncated or damaged: {cause}"
    return HwsearchError(what, where=path, fix="Restore it from a copy, or train again")


@dataclass(frozen=True)
class Run:
    """A trained, or partly trained, supernet.

    Attributes:
        path: The run's folder.
        space: The space that was trained.
        method: The method with the checkpoint's weights.
        header: What the checkpoint says about itself.
        fingerprint: SHA-256 of the checkpoint.
    """

    path: Path
    space: Space
    method: Method[Any]
    header: Header
    fingerprint: str

    def supernet(self, weights: Weights = "online") -> Supernet:
        """Returns the supernet with the weights asked for."""
        return self.method.encoder(weights).supernet

    def embedder(self, subnet: Subnet, weights: Weights = "online") -> Embedder:
        """Extracts a subnet with its projection head; it is not calibrated yet."""
        return self.method.embedder(subnet, weights)


def build_method(
    space: Space, method: str, settings: MethodSettings, *, seed: int, residual_scale: float = 0.0
) -> Method[Any]:
    """Builds an untrained method; equal seeds give equal weights.

    Args:
        space: Family of networks.
        method: Registered name.
        settings: What the method is told; with `distil`, it is to follow an external teacher.
        seed: Of the weights.
        residual_scale: Scale that every residual branch starts with.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = get_method(method)(Supernet(space, residual_scale), settings)
        if settings.follow_start is not None:
            return Specialised(built, settings)
        beside = settings.distil is not None and not isinstance(built, TaughtMethod)
        return Distilled(built, settings) if beside else built


def load_weights(method: Method[Any], checkpoint: Checkpoint, run: Path) -> None:
    """Puts a checkpoint's weights into a method of the same space and settings.

    Raises:
        HwsearchError: If they do not fit.
    """
    try:
        method.load_state_dict(dict(checkpoint.method))
    except RuntimeError as cause:
        raise _unfit(checkpoint, run) from cause


def _unfit(checkpoint: Checkpoint, run: Path) -> HwsearchError:
    return HwsearchError(
        f"the weights do not fit space '{checkpoint.header.space}' of this hwsearch",
        where=run / CHECKPOINT_NAME,
        fix=_OTHER_VERSION,
    )


def load_run(run: Path, *, space: str | None = None) -> Run:
    """Opens a training run for use.

    Args:
        run: The --out folder of `hwsearch train`.
        space: Name of the space that the run must be of, if it matters.

    Raises:
        HwsearchError: If there is no usable checkpoint, or it is of another space.
    """
    checkpoint = Checkpoint.load(run)
    header = checkpoint.header
    if space is not None and header.space != space:
        raise HwsearchError(
            f"the checkpoint is of space '{header.space}', not '{space}'",
            where=run,
            fix=f"Give a run that was trained with --space {space}",
        )
    found = get_space(header.space)
    try:
        method = build_method(found, header.method, header.settings, seed=0).requires_grad_(False)
    except (RuntimeError, TypeError) as cause:  # a size that no tensor has, or no memory holds
        raise _unfit(checkpoint, run) from cause
    load_weights(method, checkpoint, run)
    return Run(run, found, method, header, sha256_of(run / CHECKPOINT_NAME))
