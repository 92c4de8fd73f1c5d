"""Cells: published networks to the parameter, files, and blocks of two inputs like any other."""

import json
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import example_inputs, export_block, seeded_block
from hwsearch.export.program import export_block_program
from hwsearch.kinds import (
    cost_of,
    input_names,
    layers_of,
    peak_elements,
    shapes_of,
    total_macs,
    total_params,
)
from hwsearch.kinds.cell import NONE, OPERATIONS, Edge
from hwsearch.nn import Supernet
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.cells import DARTS, cell_space
from hwsearch.spaces.genotype import CellFamily, Genotype, random_genotype

CHAIN = Genotype(
    tuple(Edge(2 + at // 2, at % 2, name) for at, name in enumerate(OPERATIONS[1:])),
    tuple(Edge(2 + at // 2, at % 2, name) for at, name in enumerate(OPERATIONS[1:])),
)
"""Every operation once in each cell; in the reduction cell all of them halve the map."""


def family(genotype: Genotype, *widths: int) -> CellFamily:
    return CellFamily(genotype, 8, widths or (4, 6, 8), ((2, 3), (2, 3), (1, 2)))


def test_the_published_network_has_the_published_parameters():
    """DARTS's code tells 3.349342 MB of parameters for 20 cells, its classifier included."""
    space = cell_space(CellFamily(DARTS, 32, (36,), ((6,), (7,), (7,))), "darts")
    width = cost_of(space.lower(space.maximum)[-1]).out_shape[0]
    assert width == 576
    assert total_params(space.lower(space.maximum)) + 10 * width + 10 == 3_349_342


def lively(space: Space) -> Supernet:
    torch.manual_seed(0)
    net = Supernet(space)
    for value in net.parameters():
        if value.dim() == 1:
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return net


@pytest.mark.parametrize("seed", [None, 0, 1])
@torch.no_grad()
def test_a_supernet_of_any_cells_equals_its_networks_and_their_costs(seed: int | None):
    rng = np.random.default_rng(seed)
    genotype = CHAIN if seed is None else random_genotype(3, rng)
    space = cell_space(family(genotype), "cells")
    net, images = lively(space), torch.randn(8, *space.input_shape)
    for subnet in (space.minimum, space.maximum, space.sample(np.random.default_rng(2))):
        blocks, alone = space.lower(subnet), net.extract(subnet)
        expected = net(images, subnet)
        found = alone(images)
        torch.testing.assert_close(found.embedding, expected.embedding, rtol=1e-3, atol=1e-3)
        assert [len(level[0]) for level in found.levels] == [
            cost_of(block).out_shape[0] for block in blocks if block.tap
        ]
        with FlopCounterMode(display=False) as counter:
            alone.eval()(images[:1])
        assert counter.get_total_flops() == 2 * total_macs(blocks)
        assert sum(value.numel() for value in alone.parameters()) == total_params(blocks)
        assert space.peak_elements(space.encode(subnet)[None])[0] == peak_elements(blocks)


def peak_by_simulation(blocks: tuple[Block, ...]) -> int:
    """Runs all layers of a network in order and counts what any later one still reads."""
    sizes, reads, ends = [prod(blocks[0].in_shape)], [()], [0]
    for block in blocks:
        shapes = shapes_of(block)
        inputs = (ends[offset] for offset in block.inputs)
        ids = dict(zip(input_names(block), inputs, strict=True))
        for layer in layers_of(block):
            reads.append(tuple(ids[name] for name in layer.sources))
            ids[layer.name] = len(sizes)
            sizes.append(prod(shapes[layer.name]))
        ends.append(len(sizes) - 1)
    last = {made: at for at, sources in enumerate(reads) for made in sources}
    alive = [
        sum(sizes[made] for made in range(at + 1) if made == at or last.get(made, -1) >= at)
        for at in range(1, len(sizes))
    ]
    return max(alive)


@pytest.mark.parametrize("genotype", [CHAIN, DARTS], ids=["all", "darts"])
def test_maps_that_two_cells_read_count_until_the_second_has(genotype: Genotype):
    space = cell_space(family(genotype), "cells")
    for code in space.all_codes():
        blocks = space.lower(space.decode(code))
        assert peak_elements(blocks) == peak_by_simulation(blocks)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_cell_alone_is_built_and_fed_both_maps(tmp_path: Path, runtime: str):
    space = cell_space(family(CHAIN), "cells")
    cell = next(block for block in space.lower(space.maximum) if block.slot == "stage2.1")
    assert cell.in_shapes == ((48, 4, 4), (24, 8, 8))
    export = export_block if runtime == "onnxruntime" else export_block_program
    suffix = "onnx" if runtime == "onnxruntime" else "pt2"
    model = export(cell, tmp_path / f"cell.{suffix}", batch=2)
    loader = get_runtime(runtime)
    engine = loader.build(model, tmp_path / "engine", BuildOptions(precision="fp32"))
    torch.manual_seed(0)
    maps = [torch.randn(example.shape) for example in example_inputs(cell, 2)]
    with loader.load(engine, LoadOptions(precision="fp32", threads=1)) as loaded:
        names = [spec.name for spec in loaded.input_specs]
        assert names == ["image", "before"]
        feed = {name: one.numpy() for name, one in zip(names, maps, strict=True)}
        (found,) = loaded.run(feed).values()
    with torch.no_grad():
        expected = seeded_block(cell).eval()(*maps)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_file_of_cells_is_a_space_whose_tables_know_the_cells(tmp_path: Path):
    path = tmp_path / "genotype.json"
    family(DARTS).write(path)
    assert CellFamily.read(path) == family(DARTS)
    space = get_space(f"cells:{path}")
    before, alone = space.key(space.maximum), get_space(f"cells:{path}[max]")
    assert alone.size == 1 and alone.lower(alone.maximum) == space.lower(space.maximum)
    get_space.cache_clear()
    family(CHAIN).write(path)
    assert get_space(f"cells:{path}").key(space.maximum) != before


BROKEN = {
    "no such file": None,
    "no JSON": "{",
    "no hwsearch-cells version 1": json.dumps({"format": "another"}),
}
EDITS = {
    "unknown operation 'conv'": {"normal": [[2, 0, "conv"], [2, 1, "skip"]]},
    "unknown operation 'none'": {"normal": [[2, 0, NONE], [2, 1, "skip"]]},
    "cannot read node 2": {"normal": [[2, 0, "skip"], [2, 2, "skip"]]},
    "reads another twice": {"normal": [[2, 0, "skip"], [2, 0, "skip"]]},
    "two edges for each node": {"normal": [[2, 0, "skip"]]},
    "equally many nodes": {"normal": [[2, 0, "skip"], [2, 1, "skip"]]},
    "widths must be even": {"widths": [3, 4]},
    "widths must rise": {"widths": [4, 4]},
    "depths of stage 2 must rise from 2": {"depths": [[2], [1], [1]]},
    "cannot be halved twice": {"side": 30},
}


@pytest.mark.parametrize("message", [*BROKEN, *EDITS])
def test_files_that_hold_no_cells_are_refused_in_one_line(tmp_path: Path, message: str):
    path = tmp_path / "genotype.json"
    if message in EDITS:
        family(DARTS).write(path)
        about = json.loads(path.read_text())
        target = about["genotype"] if "normal" in EDITS[message] else about
        target |= EDITS[message]
        path.write_text(json.dumps(about))
    elif BROKEN[message]:
        path.write_text(BROKEN[message])
    with pytest.raises(HwsearchError, match=message) as caught:
        get_space(f"cells:{path}")
    assert "\n" not in str(caught.value)


def test_random_cells_differ_by_seed_and_are_valid():
    drawn = {random_genotype(4, np.random.default_rng(seed)) for seed in range(20)}
    assert len(drawn) == 20
    assert random_genotype(4, np.random.default_rng(3)) in drawn
