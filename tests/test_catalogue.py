"""Folders of ONNX files as spaces: what is read and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from catalogues import NETWORKS, catalogue_of, outputs, write_folder
from every_space import every_space, runnable, some_subnets
from onnx import TensorProto, helper
from synthetic_device import SyntheticDevice

from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.export.single import single_file
from hwsearch.kinds import total_macs, total_params, total_weights
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.lookup import BETWEEN_PROCESSES, Lookup
from hwsearch.latency.rows import table_name
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue, read_model
from hwsearch.spaces.notes import NOTES_NAME, Notes
from hwsearch.train.options import TrainOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("models"))


@pytest.fixture
def good(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "small.onnx")


def test_a_folder_is_a_space_of_single_blocks(folder: Path) -> None:
    space = get_space(f"catalogue:{folder}")
    assert isinstance(space, Catalogue)
    assert space.dims[0].choices == ("small", "middle", "large")
    assert space.input_shape == (3, 32, 32)
    for name, (family, text) in NETWORKS.items():
        (block,) = space.lower(space.subnet(model=name))
        model, own = space.models[name], get_space(family)
        blocks = own.lower(own.parse(text))
        assert total_macs((block,)) == total_macs(blocks) == model.macs
        assert total_params((block,)) == total_weights(blocks) == model.params
        assert model.sha256[:12] in block.key
        assert (model.side, block.in_side) == (blocks[0].in_side,) * 2
    assert space.input_side(space.minimum) == 8
    assert space.models["middle"].mean == (0.485, 0.456, 0.406)
    assert space.models["large"].std == (0.25,) * 3


@every_space
def test_the_costs_of_a_file_are_those_of_its_blocks(name: str, tmp_path: Path) -> None:
    space = runnable(name)
    some = [space.minimum] if name.endswith("-224") else some_subnets(space, 1)
    for subnet in some:
        blocks = space.lower(subnet)
        export_network(seeded_network(blocks), tmp_path / "m.onnx", batch=2)
        model = read_model(tmp_path / "m.onnx", Notes())
        assert (model.macs, model.params) == (total_macs(blocks), total_weights(blocks))
        assert model.batch == 2


def test_weights_may_be_constant_nodes(good: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(good, tmp_path / "as_exported.onnx")
    weights = [one for one in good.graph.initializer if one.data_type == TensorProto.FLOAT]
    for weight in weights:
        good.graph.initializer.remove(weight)
        node = helper.make_node("Constant", [], [weight.name], value=weight)
        good.graph.node.insert(0, node)
    onnx.save(good, tmp_path / "constants.onnx")
    before, after = (read_model(path, Notes()) for path in sorted(tmp_path.iterdir()))
    assert (after.macs, after.params) == (before.macs, before.params)
    assert after.peak_elements == before.peak_elements


def split(model: onnx.ModelProto, path: Path) -> Path:
    """Adds a second output with weights of its own, and puts weights into a second file."""
    graph = model.graph
    graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5]))
    graph.node.append(helper.make_node("Mul", ["embedding", "half"], ["other"]))
    width = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, width]))
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    return path


def test_a_model_in_several_files_becomes_one_with_one_output(good, tmp_path: Path) -> None:
    path = split(good, tmp_path / "split.onnx")
    model = read_model(path, Notes(output="embedding"))
    assert not model.single
    whole = single_file(model, tmp_path / "whole" / "one.onnx")
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    found = outputs(whole, image)
    assert len(found) == 1
    assert np.array_equal(found[0], outputs(path, image)[0])
    again = read_model(whole, Notes())
    assert (again.macs, again.params, again.width) == (model.macs, model.params, model.width)
    assert again.sha256 != model.sha256 != read_model(path, Notes(output="other")).sha256
    (tmp_path / "weights").write_bytes(bytes((tmp_path / "weights").stat().st_size))
    assert read_model(path, Notes(output="embedding")).sha256 != model.sha256


def input_sizes(*sizes: int | str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        value = helper.make_tensor_value_info("image", TensorProto.FLOAT, sizes)
        model.graph.input[0].CopyFrom(value)

    return change


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def take_bytes(model: onnx.ModelProto) -> None:
    value = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 8, 8])
    model.graph.input[0].CopyFrom(value)
    cast = helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT)
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "image" else name for name in node.input]
    model.graph.node.insert(0, cast)


def give_maps(model: onnx.ModelProto) -> None:
    del model.graph.output[:]
    name = next(node.output[0] for node in model.graph.node if node.op_type == "Conv")
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]))


def contradict(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Add", ["image", "image"], []))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (input_sizes("N", 3, 8, 8), r"'image' has no fixed size: \[\?, 3, 8, 8\].*make_dynamic"),
        (input_sizes(1, 3, "H", "W"), "no fixed size"),
        (
            input_sizes(1, 3, 8, 16),
            r"float32 \[1, 3, 8, 16\], not float32 \[batch, 3, side, side\]",
        ),
        (add_input, r"2 inputs \(image, mask\), not one"),
        (take_bytes, "another type than float32"),
        (give_maps, r"is no embedding \[1, E\].*outputs: .*\[1, 4, 8, 8\].*output = "),
        (contradict, "damaged"),
    ],
)
def test_models_that_cannot_be_points_are_refused(good, tmp_path, change, message) -> None:
    change(good)
    path = tmp_path / "model.onnx"
    path.write_bytes(good.SerializeToString())
    with pytest.raises(HwsearchError, match=message) as found:
        catalogue_of(tmp_path)
    assert found.value.where == path


def test_damaged_and_misplaced_files_are_refused(good, folder: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "m.onnx", (folder / "middle.onnx").read_bytes()
    for data in (b"", b"no model", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(HwsearchError, match=r"this ONNX file is damaged: .*Export the model"):
            catalogue_of(tmp_path)
    split(good, path)
    notes = Notes(output="embedding")
    data = (tmp_path / "weights").read_bytes()
    (tmp_path / "weights").write_bytes(data[:-4])
    with pytest.raises(HwsearchError, match="file with weights is truncated"):
        read_model(path, notes)
    (tmp_path / "weights").unlink()
    with pytest.raises(HwsearchError, match=r"weights are missing: 'weights'.*as one file"):
        read_model(path, notes)
    (tmp_path.parent / "secret").write_bytes(data)
    path.write_bytes(path.read_bytes().replace(b"weights", b"../secret"[:7]))
    with pytest.raises(HwsearchError, match="outside its folder"):
        read_model(path, notes)


def test_a_folder_that_moved_can_be_linked(folder: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    with pytest.raises(HwsearchError, match=f"ln -s NEW {before}"):
        get_space(f"catalogue:{before}")
    before.symlink_to(folder)
    linked = get_space(f"catalogue:{tmp_path}/x/../before")
    assert linked.name == f"catalogue:{before}" and linked.size == catalogue_of(folder).size


def test_folders_without_models_or_with_copies_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match=r"no such folder.*catalogue:FOLDER"):
        get_space(f"catalogue:{tmp_path / 'nowhere'}")
    with pytest.raises(HwsearchError, match="no ONNX file here"):
        get_space(f"catalogue:{tmp_path}")
    data = (folder / "small.onnx").read_bytes()
    (tmp_path / "a b.onnx").write_bytes(data)
    with pytest.raises(HwsearchError, match="other characters than"):
        catalogue_of(tmp_path)
    (tmp_path / "a b.onnx").rename(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(data)
    with pytest.raises(HwsearchError, match=r"the same model as a\.onnx"):
        catalogue_of(tmp_path)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ("[mal]\nmean = [0, 0, 0]", "unknown model .*'mal'.*Did you mean m"),
        ("[m]\nmeen = [0, 0, 0]", "unknown key .*'meen'. Did you mean mean"),
        ("[m]\nmean = [0, 0]", r"mean.*Write mean = \[0.485"),
        ("[m]\nstd = [1, 0, 1]", "std above 0"),
        ("[m]\nmean = [nan, 0, 0]", "must be finite"),
        ("m = 1", "cannot use the section 'm'"),
        ("[m", "this is no TOML"),
        ('[m]\noutput = "embeding"', "unknown output of m.onnx 'embeding'. Did you mean embedd"),
    ],
)
def test_mistakes_in_the_notes_are_named(folder, tmp_path, notes, message) -> None:
    (tmp_path / "m.onnx").write_bytes((folder / "small.onnx").read_bytes())
    (tmp_path / NOTES_NAME).write_text(notes)
    with pytest.raises(HwsearchError, match=message):
        catalogue_of(tmp_path)


def test_several_outputs_need_a_name(good, tmp_path: Path) -> None:
    split(good, tmp_path / "m.onnx")
    with pytest.raises(HwsearchError, match=r"several outputs: embedding, other.*\[\"m\"\] output"):
        catalogue_of(tmp_path)
    (tmp_path / NOTES_NAME).write_text('[m]\noutput = "other"')
    assert catalogue_of(tmp_path).models["m"].output_name == "other"


def test_a_catalogue_cannot_be_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match="share no weights to train"):
        TrainOptions(data="sklearn:digits", space=f"catalogue:{folder}", out=tmp_path)


def test_names_of_tables_are_names_of_files() -> None:
    def name(space: str) -> str:
        return table_name(space, "onnxruntime", "fp32", batch=1, threads=2)

    assert name("basic-224@160+192") == "basic-224@160+192-onnxruntime-fp32-b1-t2"
    one, other = name("catalogue:/data/models"), name("catalogue:/else/models")
    assert one != other
    assert one.startswith("catalogue-models-")
    long = name("timm:" + ",".join(f"network{number}=/a/b c.pt" for number in range(50)))
    assert len(long) < 100
    assert not set(long) & set("/:, =")


def test_only_what_was_measured_is_looked_up(folder: Path) -> None:
    space = catalogue_of(folder)
    table = SyntheticDevice(space).table(3, blocks=False)
    found = fit_latency(table, space)
    assert isinstance(found, Lookup)
    known = {row.subnet["model"]: row for row in table.networks("evidence")}
    row, one = known["middle"], found.predict_subnet(space.subnet(model="middle"))
    assert one.mean_ms[0] == row.latency_ms
    reach = np.exp(1.6449 * np.hypot(row.stderr_rel, BETWEEN_PROCESSES))
    assert one.high_ms[0] / one.mean_ms[0] == pytest.approx(reach)
    assert np.array_equal(found.mean_ms(space.all_codes())[[1]], one.mean_ms)
    fewer = replace(table, rows=tuple(r for r in table.rows if r is not row))
    with pytest.raises(HwsearchError, match=r"1 models .*not measured: middle.*hwsearch profile"):
        fit_latency(fewer, space)
    other = replace(table, rows=(*fewer.rows, replace(row, key="model:000(in=3,out=1)@32")))
    with pytest.raises(HwsearchError, match="'middle' was changed since it was measured"):
        fit_latency(other, space)
