"""From a static network or block to a checked ONNX file."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor, nn

from hwsearch.block import Block
from hwsearch.journal import write_atomic
from hwsearch.kinds import input_layout
from hwsearch.nn.static import StaticBlock, StaticNet
from hwsearch.runtime.base import Portable

OPSET = 18
INPUT_NAME = "image"
SECOND_INPUT_NAME = "before"
OUTPUT_NAME = "embedding"


class _Outputs(nn.Module):
    """Gives the outputs alone, in order: what a deployed engine returns."""

    def __init__(self, net: StaticNet, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.net(x).outputs
        return tuple(outputs[name] for name in self.names)


def export_network(net: StaticNet, out: Path, *, batch: int = 1) -> Portable:
    """Writes a network in evaluation mode, its batch norms folded, as ONNX.

    Args:
        net: A calibrated network.
        out: The ONNX file to write.
        batch: Fixed number of images a call.

    Returns:
        The portable form. Input "image" float32[batch, C, H, W] is normalised, or uint8
        [batch, H, W, C] if the network starts with its preprocessing; outputs have the names
        that the blocks give them, such as "embedding" float32[batch, E].
    """
    names = [block.output for block in net.lowered if block.output]
    return export_module(_Outputs(net, names), (example_input(net.lowered[0], batch),), names, out)


def export_block(block: Block, out: Path, *, batch: int = 1, seed: int = 0) -> Portable:
    """Writes one block with seeded weights, for measuring rather than for use.

    Args:
        block: What to write.
        out: The ONNX file to write.
        batch: Fixed number of inputs a call.
        seed: Seed of the weights; the graph does not depend on it.
    """
    names = [block.output or "output"]
    return export_module(seeded_block(block, seed=seed), example_inputs(block, batch), names, out)


def example_inputs(block: Block, batch: int) -> tuple[Tensor, ...]:
    """Returns zeros for all inputs of a block; a second one is a map."""
    others = (torch.zeros(batch, *shape) for shape in block.in_shapes[1:])
    return (example_input(block, batch), *others)


def example_input(block: Block, batch: int) -> Tensor:
    """Returns zeros that the block takes, as a network that starts with it would."""
    channels, height, width = block.in_shape
    match input_layout(block):
        case "map":
            return torch.zeros(batch, channels, height, width)
        case "tokens":
            return torch.zeros(batch, height * width, channels)
        case "bytes":
            return torch.zeros(batch, height, width, channels, dtype=torch.uint8)


def seeded_network(blocks: tuple[Block, ...], *, seed: int = 0) -> StaticNet:
    """Builds a whole network with seeded weights, for measuring rather than for use.

    Exported, it has the graph of a deployed network of the same blocks.
    """
    with _seeded(seed):
        net = StaticNet(blocks)
        randomise_norms(net)
    return net


def seeded_block(block: Block, *, seed: int = 0) -> StaticBlock:
    """Builds one block with seeded weights, for measuring rather than for use."""
    with _seeded(seed):
        module = StaticBlock(block)
        randomise_norms(module)
    return module


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def randomise_norms(net: nn.Module) -> None:
    """Gives norms and biases the spread of a trained net: equal or zero ones would be merged."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.0)
        bias = getattr(module, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.normal_(bias, std=0.1)


def export_module(
    net: nn.Module,
    examples: Sequence[Tensor],
    outputs: Sequence[str],
    out: Path,
    *,
    inputs: Sequence[str] = (INPUT_NAME, SECOND_INPUT_NAME),
) -> Portable:
    """Writes any module in evaluation mode as checked ONNX.

    Args:
        net: Takes one tensor or several.
        examples: What it takes; their shapes and types are fixed in the file.
        outputs: Names of what it gives, in order.
        out: The ONNX file to write.
        inputs: Names of what it takes, in order.
    """
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        _export(net, examples, path, [*inputs[: len(examples)]], [*outputs])
        onnx.checker.check_model(str(path), full_check=True)
        write_atomic(out, path.read_bytes())
    return Portable(onnx=out)


def _export(
    net: nn.Module, examples: Sequence[Tensor], path: Path, inputs: list[str], outputs: list[str]
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter over torch.export takes 20 times as long for the same graph, and a
        # table needs hundreds of graphs; this one only warns that it is the older.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net.eval().cpu(),
            tuple(examples),
            str(path),
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )
