"""From a static network or block to a checked ONNX file."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from hwsearch.block import Block, Shape
from hwsearch.nn.static import StaticBlock, StaticNet
from hwsearch.runtime.base import Portable

OPSET = 18
INPUT_NAME = "image"
OUTPUT_NAME = "embedding"


class _Embedding(nn.Module):
    """Gives the pooled output alone: what a deployed engine returns."""

    def __init__(self, net: StaticNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.net(x_BCHW).embedding


def export_network(net: StaticNet, input_shape: Shape, out: Path, *, batch: int = 1) -> Portable:
    """Writes a network in evaluation mode, its batch norms folded, as ONNX.

    Args:
        net: A calibrated network.
        input_shape: Channels, height, width of one image.
        out: The ONNX file to write.
        batch: Fixed number of images a call.

    Returns:
        The portable form. Input "image" float32[batch, C, H, W] is normalised; output
        "embedding" is float32[batch, E].
    """
    return _export(_Embedding(net), input_shape, out, batch)


def export_block(block: Block, out: Path, *, batch: int = 1, seed: int = 0) -> Portable:
    """Writes one block with seeded weights, for measuring rather than for use.

    Args:
        block: What to write.
        out: The ONNX file to write.
        batch: Fixed number of inputs a call.
        seed: Seed of the weights; the graph does not depend on it.
    """
    with _seeded(seed):
        module = StaticBlock(block)
        _randomise_norms(module)
    return _export(module, block.in_shape, out, batch)


def seeded_network(blocks: tuple[Block, ...], *, seed: int = 0) -> StaticNet:
    """Builds a whole network with seeded weights, for measuring rather than for use.

    Exported, it has the graph of a deployed network of the same blocks.
    """
    with _seeded(seed):
        net = StaticNet(blocks)
        _randomise_norms(net)
    return net


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _randomise_norms(net: nn.Module) -> None:
    """Gives norms the scales of a trained net: a zero scale would fold to zero weights."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)


def _export(net: nn.Module, input_shape: Shape, out: Path, batch: int) -> Portable:
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    example = torch.zeros(batch, *input_shape)
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter over torch.export takes 20 times as long for the same graph, and a
        # table needs hundreds of graphs; this one only warns that it is the older.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net.eval().cpu(),
            (example,),
            str(partial),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(partial), full_check=True)
    partial.replace(out)
    return Portable(onnx=out)
