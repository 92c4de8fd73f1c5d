"""From a static network or block to an exported torch program."""

import copy
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hwsearch.block import Block
from hwsearch.export.onnx import example_input, example_inputs, seeded_block
from hwsearch.journal import write_atomic
from hwsearch.nn.features import run_blocks
from hwsearch.nn.static import StaticBlock, StaticConv, StaticNet
from hwsearch.runtime.base import Portable
from hwsearch.runtime.torch_program import DTYPES

_CHECK = torch.ops.aten._assert_tensor_metadata.default


class _Program(nn.Module):
    """A network that computes in other numbers inside; named float32 outputs."""

    def __init__(self, net: StaticNet | StaticBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = _folded(net).to(dtype), dtype

    def forward(self, image: Tensor, before: Tensor | None = None) -> dict[str, Tensor]:
        given = (image,) if before is None else (image, before)
        outputs = self._outputs(*(_cast(x, self.dtype) for x in given))
        return {name: _cast(output, torch.float32) for name, output in outputs.items()}

    def _outputs(self, x: Tensor, *others: Tensor) -> dict[str, Tensor]:
        net = self.net
        if isinstance(net, StaticBlock):
            return {net.block.output or "output": net(x, *others)}
        # A camera's bytes become float32 in the first block.
        blocks = net.static_blocks
        return run_blocks(
            net.lowered, x, lambda place, _, *inputs: _cast(blocks[place](*inputs), self.dtype)
        ).outputs


def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype) if x.is_floating_point() and x.dtype != dtype else x


def _folded(net: StaticNet | StaticBlock) -> StaticNet | StaticBlock:
    """Copies a network and folds its batch norms into the convolutions before them."""
    folded = copy.deepcopy(net).eval().cpu()
    for layer in folded.modules():
        if isinstance(layer, StaticConv) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv, layer.norm = fuse_conv_bn_eval(layer.conv, layer.norm), nn.Identity()
    return folded


def export_network_program(
    net: StaticNet, out: Path, *, batch: int = 1, precision: str = "fp32"
) -> Portable:
    """Writes a network in evaluation mode, its batch norms folded, as an exported program.

    Equal networks give equal bytes, wherever this package lies.

    Args:
        net: A calibrated network.
        out: The file to write, ending in .pt2.
        batch: Fixed number of images a call.
        precision: Numbers that the weights are kept in and everything inside is computed in.

    Returns:
        The portable form. Input and outputs are those of `export_network`, in float32 (or uint8)
        whatever the precision; maps lie channels-last in memory.
    """
    return _write(net, (example_input(net.lowered[0], batch),), precision, out)


def export_block_program(
    block: Block, out: Path, *, batch: int = 1, precision: str = "fp32", seed: int = 0
) -> Portable:
    """Writes one block with seeded weights, for measuring rather than for use.

    Args:
        block: What to write.
        out: The file to write, ending in .pt2.
        batch: Fixed number of inputs a call.
        precision: As for `export_network_program`.
        seed: Seed of the weights.
    """
    return _write(seeded_block(block, seed=seed), example_inputs(block, batch), precision, out)


def _write(
    net: StaticNet | StaticBlock, examples: tuple[Tensor, ...], precision: str, out: Path
) -> Portable:
    placed = tuple(map(_channels_last, examples))
    with torch.inference_mode(False), torch.no_grad():
        module = _Program(net, DTYPES[precision])
        program = torch.export.export(module, placed, strict=False)
    _strip(program)
    buffer = io.BytesIO()  # a file's own name would be inside
    torch.export.save(program, buffer)
    write_atomic(out, buffer.getvalue())
    return Portable(program=out)


def _channels_last(x: Tensor) -> Tensor:
    is_map = x.dim() == 4 and x.is_floating_point()
    return x.contiguous(memory_format=torch.channels_last) if is_map else x


def _strip(program: ExportedProgram) -> None:
    """Takes out checks of types, which cost time, and all traces of files and lines."""
    for node in list(program.graph.nodes):
        if node.target is _CHECK:
            program.graph.erase_node(node)
        node.meta = {name: node.meta[name] for name in ("val",) if name in node.meta}
    program.graph_module.recompile()
