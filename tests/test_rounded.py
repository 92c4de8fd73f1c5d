"""Networks that compute as engines of lower precision would, beside those engines."""

import numpy as np
import pytest
import torch
from abilities import skipped_unless_computed

from hwsearch.device import fingerprint
from hwsearch.export.onnx import INPUT_NAME, OUTPUT_NAME, export_network, seeded_network
from hwsearch.export.precision import in_precision
from hwsearch.export.quantise import image_feeds
from hwsearch.nn import calibrate
from hwsearch.nn.rounded import rounded
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.runtime.embed import embed_all
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.spaces import get_space

IMAGES = 32


def outputs(net, images):
    with torch.no_grad():
        return net(images).embedding.numpy()


def norm(array):
    return float(np.linalg.norm(array))


@pytest.mark.parametrize(
    ("name", "runtime", "precision"),
    [
        ("bottleneck-32", "onnxruntime", "int8"),
        ("inverted-32", "onnxruntime", "int8"),
        ("bottleneck-32", "openvino", "bf16"),
    ],
)
def test_a_rounded_network_is_as_far_off_as_the_engine(name, runtime, precision, tmp_path):
    pytest.importorskip(runtime)
    space = get_space(name)
    net = seeded_network(space.lower(space.minimum))
    images = torch.randn(IMAGES, *space.input_shape, generator=torch.Generator().manual_seed(0))
    exact, model = outputs(net, images), export_network(net, tmp_path / "model.onnx")
    half = needs_half_range(runtime, fingerprint())
    ready = in_precision(
        model,
        tmp_path / "lower.onnx",
        runtime=runtime,
        precision=precision,
        feeds=lambda: image_feeds(INPUT_NAME, images.numpy(), 1),
        half_range=half,
    )
    with skipped_unless_computed(precision):
        path = get_runtime(runtime).build(ready, tmp_path, BuildOptions(precision=precision))
    with get_runtime(runtime).load(path, LoadOptions(threads=1, precision=precision)) as engine:
        names = {"input_name": INPUT_NAME, "output_name": OUTPUT_NAME}
        real = embed_all(engine, [images.numpy()], **names, batch=1)
    found = outputs(rounded(net, precision, [images], half_range=half), images)
    assert 0.6 < norm(found - exact) / norm(real - exact) < 1.5
    assert norm(found - real) < 1.6 * norm(real - exact)


@pytest.mark.parametrize("family", ["basic-32", "inverted-32", "vit-32"])
def test_fp32_takes_norms_into_convolutions_and_rounds_nothing(family):
    space = get_space(family)
    net, images = seeded_network(space.lower(space.minimum)), torch.randn(4, *space.input_shape)
    with torch.no_grad():
        before = calibrate(net, [images])(images)
        after = rounded(net, "fp32", [])(images)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    for one, other in zip(before.levels, after.levels, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.embedding, before.embedding, rtol=1e-4, atol=1e-4)


def test_every_weight_keeps_its_largest_number():
    net = seeded_network(get_space("vit-32").lower(get_space("vit-32").minimum))
    linears = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
    before = [linear.weight.clone() for linear in linears]
    images = torch.randn(2, *get_space("vit-32").input_shape)
    rounded(net, "int8", [images])
    for linear, weight in zip(linears, before, strict=True):
        largest = weight.abs().amax(1)
        torch.testing.assert_close(linear.weight.abs().amax(1), largest)
        assert ((linear.weight - weight).abs() <= largest[:, None] / 127).all()
        steps = linear.weight / (largest[:, None] / 127)
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
