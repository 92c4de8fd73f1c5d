"""From timm's networks to a catalogue of ONNX files; nothing is ever downloaded."""

import tempfile
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import OUTPUT_NAME, export_module, randomise_norms
from hwsearch.export.timm_package import import_timm
from hwsearch.journal import sha256_of
from hwsearch.progress import console, track
from hwsearch.spaces.catalogue import read_catalogue
from hwsearch.spaces.notes import NOTES_NAME
from hwsearch.spaces.onnx_graph import read_graph
from hwsearch.spaces.timm import TimmRequest, TimmRequests, timm_version


def export_timm(space: str) -> Path:
    """Exports the networks that a space asks for, unless they are there.

    Args:
        space: Such as "timm:resnet18,mobilenetv3_small_100".

    Returns:
        A folder of ONNX files with `catalogue.toml`, as every catalogue.

    Raises:
        HwsearchError: If timm is missing or lacks a network, weights do not fit, or a network
            gives no embedding.
    """
    requests = TimmRequests.parse(space)
    folder = requests.folder
    if folder.is_dir():
        return folder
    timm = import_timm()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        partial = Path(temporary) / "catalogue"
        with track("export networks of timm", len(requests.networks)) as advance:
            notes = []
            for request in requests.networks:
                notes.append(_export(timm, request, partial))
                advance(note=request.name)
        (partial / NOTES_NAME).write_text("\n".join(notes), encoding="utf-8")
        read_catalogue(partial, space)  # refuses what could not be used
        partial.rename(folder)
    untrained = [request.name for request in requests.networks if not request.weights]
    if untrained:
        console.print(
            f"Random weights, for latency only: {', '.join(untrained)}. "
            "Give trained ones as timm:NAME=FILE.safetensors",
            markup=False,
        )
    return folder


def _export(timm: ModuleType, request: TimmRequest, folder: Path) -> str:
    """Writes one network and returns its section of `catalogue.toml`."""
    net, about = timm_network(timm, request)
    side = request.side or about["input_size"][-1]
    origin = f"sha256:{sha256_of(request.weights)}" if request.weights else "random"
    with warnings.catch_warnings():
        tracer_warning = torch.jit.TracerWarning  # pyright: ignore[reportPrivateImportUsage]
        warnings.simplefilter("ignore", tracer_warning)
        path = folder / f"{request.name}.onnx"
        export_module(net, (torch.zeros(1, 3, side, side),), [OUTPUT_NAME], path)
    _fold(path)
    mean, std = ([float(value) for value in about[name]] for name in ("mean", "std"))
    return f'["{request.name}"]\nmean = {mean}\nstd = {std}\nweights = "{origin}"\n'


def timm_network(timm: ModuleType, request: TimmRequest) -> tuple[nn.Module, Mapping[str, Any]]:
    """Builds a network without its classifier, with the weights asked for or seeded ones.

    Args:
        timm: The package, as `import_timm` gives it.
        request: Which network.

    Returns:
        The network, and what timm says about it: "input_size", "mean", "std" and more.

    Raises:
        HwsearchError: If timm lacks the network or the weights do not fit.
    """
    net = _network(timm, request)
    about: Mapping[str, Any] = net.pretrained_cfg  # pyright: ignore[reportAssignmentType]
    if request.weights:
        _load_weights(net, about.get("classifier"), request, request.weights)
    return net, about


def _fold(path: Path) -> None:
    """Folds constants if some sizes are not known without, as in windowed attention."""
    try:
        read_graph(path).cost(OUTPUT_NAME)
    except HwsearchError:
        from onnxruntime.tools.onnx_model_utils import optimize_model

        folded = path.with_suffix(".folded")
        optimize_model(path, folded)
        folded.replace(path)


def _network(timm: ModuleType, request: TimmRequest) -> nn.Module:
    """Builds a network without its classifier, with seeded weights."""
    known = timm.list_models()
    architecture = request.network.partition(".")[0]
    if architecture not in known:
        near = get_close_matches(architecture, known, n=3, cutoff=0.5)
        guess = f"Did you mean {' or '.join(near)}? " if near else ""
        raise HwsearchError(
            f"timm {timm_version()} has no network '{request.network}'",
            fix=guess + "timm.list_models() tells all names",
        )
    fixed = timm.get_pretrained_cfg(architecture).fixed_input_size
    sized = {"img_size": request.side} if request.side and fixed else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            net = timm.create_model(request.network, pretrained=False, num_classes=0, **sized)
        except (RuntimeError, TypeError, ValueError, AssertionError) as cause:
            reason = shorten(str(cause), 120).rstrip(".")
            raise HwsearchError(f"timm cannot build '{request}': {reason}") from cause
        randomise_norms(net)
    return net


def _load_weights(net: nn.Module, classifier: object, request: TimmRequest, path: Path) -> None:
    """Loads a state dict; what belongs to the classifier is left out."""
    state = _read_weights(path)
    heads = classifier if isinstance(classifier, list | tuple) else (classifier,)
    prefixes = tuple(f"{name}." for name in heads if name)
    own = net.state_dict()
    kept = {k: v for k, v in state.items() if k in own or not k.startswith(prefixes)}
    try:
        net.load_state_dict(kept)
    except RuntimeError as cause:
        reason = shorten(str(cause).partition(":")[2], 120)
        raise HwsearchError(
            f"these weights are of another network than '{request}': {reason}",
            where=path,
            fix="Give the state dict of the network itself, as timm saves it",
        ) from cause


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which are read or refused
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as cause:
        raise _unreadable(path, "it holds more than tensors") from cause
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError, EOFError) as cause:
        raise _unreadable(path, shorten(str(cause), 120)) from cause
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise _unreadable(path, "it is no state dict")
    return state


def _unreadable(path: Path, reason: str) -> HwsearchError:
    return HwsearchError(
        f"cannot read these weights: {reason}",
        where=path,
        fix="Give a state dict as .safetensors or as torch.save writes it",
    )
