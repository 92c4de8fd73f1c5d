"""Teacher distance: 0 for the maximum, above 0 for all else, and the teacher computed once."""

from pathlib import Path

import pytest
import torch

from hwsearch.checkpoint import Run, build_method
from hwsearch.distance import TargetImages, TeacherDistance, cosine_distance
from hwsearch.nn import Supernet
from hwsearch.selfsup.base import MethodSettings
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")
IMAGES = TargetImages(torch.randn(24, *SPACE.input_shape), "noise")


@pytest.fixture(scope="module")
def run() -> Run:
    settings = MethodSettings(projection_hidden=16, queue=32)
    method = build_method(SPACE, "moco-v2", settings, seed=0).requires_grad_(False)
    for name, value in method.named_parameters():
        if name.endswith("scale"):  # a zero scale would make depth invisible
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return Run(Path("run"), SPACE, method, None, "weights")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("weights", ["online", "ema"])
def test_the_maximum_alone_is_at_distance_zero(run: Run, weights):
    distance = TeacherDistance(run, IMAGES, weights=weights)
    assert distance(SPACE.maximum) == 0.0
    others = [SPACE.minimum, *SPACE.neighbours(SPACE.maximum)]
    assert min(distance(subnet) for subnet in others) > 1e-6


def test_distance_is_one_minus_cosine():
    student, teacher = torch.randn(2, 5, 8)
    student, teacher = (torch.nn.functional.normalize(x) for x in (student, teacher))
    expected = (1 - torch.nn.functional.cosine_similarity(student, teacher)).mean()
    assert cosine_distance(student, teacher) == pytest.approx(float(expected), abs=1e-6)


def test_embeddings_from_elsewhere_have_the_distance_of_their_network(run: Run):
    distance = TeacherDistance(run, IMAGES)
    net = distance.network(SPACE.minimum)
    with torch.no_grad():
        embeddings = net(IMAGES.normalised_BCHW).embedding
    assert distance.of_embeddings(embeddings) == distance(SPACE.minimum)


def test_the_teacher_is_computed_once_for_a_cache(run: Run, tmp_path: Path, monkeypatch):
    first = TeacherDistance(run, IMAGES, cache=tmp_path)(SPACE.minimum)
    with monkeypatch.context() as patch:
        patch.setattr(Supernet, "extract", lambda *_: pytest.fail("the teacher ran again"))
        again = TeacherDistance(run, IMAGES, cache=tmp_path)
    assert again(SPACE.minimum) == first
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(cached.read_bytes()[:20])
    assert TeacherDistance(run, IMAGES, cache=tmp_path)(SPACE.minimum) == first


def test_weights_survive_calibration(run: Run):
    before = {name: value.clone() for name, value in run.supernet().state_dict().items()}
    TeacherDistance(run, IMAGES)(SPACE.minimum)
    after = run.supernet().state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
