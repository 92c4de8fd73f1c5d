"""The external teacher that a user names: a network of timm, or of a Python file of one's own."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from torch import nn

from hwsearch.data.prepare import MEAN, STD
from hwsearch.errors import HwsearchError
from hwsearch.export.timm import timm_network
from hwsearch.export.timm_package import import_timm
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.spaces.timm import SCHEME, TimmRequest, TimmRequests

FUNCTION = "teacher"
_EXAMPLE = f"""It holds: def {FUNCTION}() -> torch.nn.Module, and SIDE, MEAN and STD where needed"""


def open_teacher(name: str, side: int) -> ExternalTeacher:
    """Opens a teacher; nothing is downloaded.

    A Python file defines `teacher()`, which returns a module that turns images [B, 3, side, side]
    into features [B, E]. It may define `SIDE`, its images' height and width in pixels, and `MEAN`
    and `STD`, by which pixels from 0 to 1 are normalised; by default those of the space.

    Args:
        name: "timm:NAME=FILE", "timm:NAME@SIDE" with weights in the cache of huggingface_hub, or
            the path of a Python file, which is run.
        side: Height and width in pixels of the space's images.

    Raises:
        HwsearchError: If there is no such teacher or it cannot be used.
    """
    if name.startswith(SCHEME):
        return _timm(name)
    path = Path(name).expanduser()
    if path.suffix == ".py" and path.is_file():
        return _file(path.resolve(), side)
    raise HwsearchError(
        "--teacher names no Python file",
        where=name,
        fix="Give timm:NAME=FILE.safetensors, or a .py file. " + _EXAMPLE,
    )


def _timm(name: str) -> ExternalTeacher:
    requests = TimmRequests.parse(name).networks
    if len(requests) != 1:
        raise HwsearchError(f"--teacher names {len(requests)} networks", fix="Give one of them")
    timm = import_timm()
    net, about = timm_network(timm, _with_weights(timm, requests[0]))
    return ExternalTeacher(
        net,
        side=requests[0].side or about["input_size"][-1],
        mean=about["mean"],
        std=about["std"],
        origin=name,
    )


def _with_weights(timm: ModuleType, request: TimmRequest) -> TimmRequest:
    """Finds weights that timm has downloaded earlier, unless a file is given."""
    if request.weights:
        return request
    from huggingface_hub import try_to_load_from_cache

    about = timm.get_pretrained_cfg(request.network)
    hub = about.hf_hub_id if about else None
    found = try_to_load_from_cache(hub, "model.safetensors") if hub else None
    if not isinstance(found, str):
        raise HwsearchError(
            f"no weights of '{request}' are on this machine, and none are downloaded",
            fix=f"Give them as timm:{request}=FILE.safetensors",
        )
    return replace(request, weights=Path(found))


def _file(path: Path, side: int) -> ExternalTeacher:
    defined = _run(path)
    make = getattr(defined, FUNCTION, None)
    if make is None:
        raise HwsearchError("the file makes no teacher", where=path, fix=_EXAMPLE)
    net = _attempt(path, make)
    if not isinstance(net, nn.Module):
        what = f"{FUNCTION}() returns {type(net).__name__}, not a torch.nn.Module"
        raise HwsearchError(what, where=path)
    return ExternalTeacher(
        net,
        side=getattr(defined, "SIDE", side),
        mean=getattr(defined, "MEAN", MEAN),
        std=getattr(defined, "STD", STD),
        origin=str(path),
    )


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hwsearch_{FUNCTION}", path)
    assert spec is not None and spec.loader is not None
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    _attempt(path, lambda: loader.exec_module(module))
    return module


def _attempt(path: Path, run: Callable[[], object]) -> object:
    """Runs a user's code, whatever may be wrong with it."""
    try:
        return run()
    except Exception as cause:
        told = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise HwsearchError(f"the teacher's file fails: {told[:200]}", where=path) from cause
