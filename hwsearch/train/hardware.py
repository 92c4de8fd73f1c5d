"""Where a training step runs and in which arithmetic."""

from dataclasses import dataclass

import torch

from hwsearch.device import fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.kinds import layers_of
from hwsearch.layers import Conv
from hwsearch.nn.place import find_place
from hwsearch.spaces import get_space
from hwsearch.train.recipe import RunOptions

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What processors that multiply bf16 numbers call it."""


@dataclass(frozen=True)
class Hardware:
    """Device, arithmetic and memory layout of a training run.

    Attributes:
        device: "cpu" or "cuda".
        amp: "bf16", "fp16" or "fp32".
        channels_last: Whether images keep their channels together.
    """

    device: str
    amp: str
    channels_last: bool

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Returns a context in which the forward pass runs in the chosen arithmetic."""
        return torch.autocast(self.device, _TYPES[self.amp], enabled=self.amp != "fp32")


def choose_hardware(options: RunOptions) -> Hardware:
    """Resolves "auto" for this machine, and takes the threads asked for.

    Raises:
        HwsearchError: If what was asked for is not here.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device, amp = find_place(options.device), options.amp
    if amp == "auto":
        amp = "bf16" if _has_bf16(device) and _gains_by_bf16(device, options.space) else "fp32"
    if amp == "fp16" and device == "cpu":
        raise HwsearchError("--amp fp16 needs a GPU", fix="Use --amp bf16 or --amp fp32")
    return Hardware(device, amp, options.channels_last)


def _has_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return not _BF16_FLAGS.isdisjoint(fingerprint()["isa"].split())


def _gains_by_bf16(device: str, space_name: str) -> bool:
    """Tells whether bf16 is no slower: depthwise convolutions take up to twice as long on CPUs."""
    if device == "cuda":
        return True
    space = get_space(space_name)
    layers = (layer for block in space.lower(space.maximum) for layer in layers_of(block))
    return not any(isinstance(layer, Conv) and layer.depthwise for layer in layers)
