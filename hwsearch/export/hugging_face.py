"""Folders as the Hugging Face hub holds them: config.json and model.safetensors."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import msgspec
from safetensors.torch import save
from torch import Tensor

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.export.described import Description
from hwsearch.export.resnet_state import as_resnet_state_dict, resnet_arguments
from hwsearch.journal import write_atomic
from hwsearch.nn.backbone import Backbone, Colour

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
ARCHITECTURES = ("Backbone",)
MODEL_TYPE = "hwsearch"

Library = Literal["hwsearch", "timm"]


class FeatureInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature map; see `Backbone.feature_info`."""

    num_chs: int
    reduction: int
    module: str


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What config.json says.

    Attributes:
        architectures: Names of classes; here always the one.
        model_type: Always "hwsearch".
        hwsearch_version: What wrote it.
        space: Name of the family.
        subnet: Value of each dimension.
        gives_maps: Whether a call gives the feature maps instead of the embedding.
        image_size: Height and width of the image in pixels.
        image_mean: Subtracted from pixels that were scaled to 0 to 1.
        image_std: Divides the result.
        num_features: Channels of the embedding, or of the last map.
        feature_info: The maps, fine to coarse.
        weights_sha256: Hash of model.safetensors.
    """

    architectures: tuple[str, ...]
    model_type: str
    hwsearch_version: str
    space: str
    subnet: dict[str, int | str]
    gives_maps: bool
    image_size: int
    image_mean: Colour
    image_std: Colour
    num_features: int
    feature_info: tuple[FeatureInfo, ...]
    weights_sha256: str


def export_hugging_face(
    backbone: Backbone, out: str | Path, *, library: Library = "hwsearch"
) -> Path:
    """Writes a backbone, perhaps trained further, as a folder for the Hugging Face hub.

    Args:
        backbone: What `load_backbone` gives.
        out: The folder, which must not exist.
        library: Who is to read it. "hwsearch": `hwsearch.load_backbone(out)`, for any network.
            "timm": `timm.create_model("local-dir:OUT", pretrained=True)`, for networks that
            `resnet_arguments` has a call for.

    Returns:
        The folder.

    Raises:
        HwsearchError: If the folder exists or cannot be written, or timm has no such network.
    """
    out, writers = Path(out), _WRITERS
    if library not in writers:
        raise unknown_name("library", library, writers)
    if out.exists():
        raise HwsearchError("the output folder exists", where=out, fix="Name another, or remove it")
    config, state = writers[library](backbone)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            folder = Path(temporary) / out.name
            write_atomic(folder / WEIGHTS_NAME, state)
            text = msgspec.json.format(msgspec.json.encode(config)) + b"\n"
            write_atomic(folder / CONFIG_NAME, text)
            folder.rename(out)
    except OSError as cause:
        raise HwsearchError(
            f"cannot write: {cause.strerror}",
            where=cause.filename or out,
            fix="Name another folder",
        ) from cause
    return out


def read_hugging_face(folder: Path) -> Backbone:
    """Reads a folder that `export_hugging_face` wrote for hwsearch.

    Raises:
        HwsearchError: If a file is missing, damaged, or does not fit the other.
    """
    path, weights_path = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    config = _read_config(path)
    try:
        weights = weights_path.read_bytes()
    except OSError as cause:
        raise HwsearchError(
            f"the weights cannot be read: {cause.strerror}", where=weights_path
        ) from cause
    if sha256(weights).hexdigest() != config.weights_sha256:
        raise HwsearchError(
            f"the file does not match its hash in {CONFIG_NAME}",
            where=weights_path,
            fix="Copy the folder again from its source",
        )
    backbone = Description(
        space=config.space,
        subnet=config.subnet,
        gives_maps=config.gives_maps,
        side=config.image_size,
        mean=config.image_mean,
        std=config.image_std,
        path=path,
    ).build(weights, weights_path)
    told = msgspec.structs.replace(config, hwsearch_version=version("hwsearch"))
    if told != _config(backbone, weights):
        raise HwsearchError(
            "what it says about feature maps is not true of its network",
            where=path,
            fix="Get the folder from its source again",
        )
    return backbone


class _Kind(msgspec.Struct, frozen=True):
    """What tells our config.json from those of others."""

    model_type: Any = None
    architecture: Any = None


def _read_config(path: Path) -> Config:
    try:
        data = path.read_bytes()
        kind = msgspec.json.decode(data, type=_Kind)
        if kind.model_type != MODEL_TYPE:
            loader = "timm.create_model" if kind.architecture else "the library that it is for"
            raise HwsearchError(
                "this model is not of hwsearch", where=path, fix=f"Load it with {loader}"
            )
        return msgspec.json.decode(data, type=Config)
    except (OSError, RecursionError, UnicodeDecodeError, msgspec.MsgspecError) as cause:
        raise HwsearchError(
            f"malformed {CONFIG_NAME}: {cause}",
            where=path,
            fix="Get the folder from its source again",
        ) from cause


def _config(backbone: Backbone, weights: bytes) -> Config:
    about = backbone.default_cfg
    info = (FeatureInfo(i["num_chs"], i["reduction"], i["module"]) for i in backbone.feature_info)
    return Config(
        architectures=ARCHITECTURES,
        model_type=MODEL_TYPE,
        hwsearch_version=version("hwsearch"),
        space=backbone.subnet.space,
        subnet=backbone.subnet.as_dict(),
        gives_maps=backbone.gives_maps,
        image_size=about["input_size"][-1],
        image_mean=about["mean"],
        image_std=about["std"],
        num_features=backbone.num_features,
        feature_info=tuple(info),
        weights_sha256=sha256(weights).hexdigest(),
    )


def _for_hwsearch(backbone: Backbone) -> tuple[object, bytes]:
    weights = _stored(backbone.state_dict())
    return _config(backbone, weights), weights


def _for_timm(backbone: Backbone) -> tuple[object, bytes]:
    call = resnet_arguments(backbone, "timm")
    about = backbone.default_cfg | {"first_conv": "conv1", "classifier": "fc", "custom_load": False}
    config = {
        "architecture": "resnet18" if call.block == "BasicBlock" else "resnet50",
        "num_classes": 0,
        "num_features": backbone.num_features,
        "model_args": {"layers": call.layers, "channels": call.channels},
        "pretrained_cfg": about,
    }
    return config, _stored(as_resnet_state_dict(backbone, "timm"))


_WRITERS: Mapping[str, Callable[[Backbone], tuple[object, bytes]]] = {
    "hwsearch": _for_hwsearch,
    "timm": _for_timm,
}


def _stored(state: Mapping[str, Tensor]) -> bytes:
    """Returns a state as a safetensors file, its numbers in float32."""
    kept = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    kept = {name: x.float() if x.is_floating_point() else x for name, x in kept.items()}
    return save(kept, {"format": "pt"})
