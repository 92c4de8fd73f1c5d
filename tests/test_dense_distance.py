"""Dense distances: relations of places, whatever the channels, the input side and the batch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import write_images
from test_distance import SPACE, make_run
from torch import nn

from hwsearch.checkpoint import Run
from hwsearch.data.prepare import prepare
from hwsearch.distance import (
    DenseDistance,
    ExternalStudents,
    SupernetStudents,
    Teacher,
    TeacherDistance,
    default_stages,
    load_target,
)
from hwsearch.distance.dense import position_distance, position_relations
from hwsearch.distance.teacher import to_grid
from hwsearch.errors import HwsearchError
from hwsearch.nn import Supernet
from hwsearch.selfsup.external import ExternalTeacher

IMAGES = load_target("sklearn:digits", 32, limit=24)
STAGES = (2, 3, 4)
SOME = [SPACE.minimum, SPACE.subnet(side=24), SPACE.subnet(width4=96), SPACE.subnet(depth2=1)]


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run()


@pytest.fixture(scope="module")
def students(run: Run) -> SupernetStudents:
    return SupernetStudents(run, IMAGES)


def to_maximum(students: SupernetStudents, cache: Path | None = None) -> DenseDistance:
    return DenseDistance(students, Teacher(students, SPACE.maximum), STAGES, cache=cache)


def test_the_maximum_alone_is_at_distance_zero(students: SupernetStudents):
    distance = to_maximum(students)
    assert distance(SPACE.maximum) == 0.0
    assert min(distance(subnet) for subnet in SOME) > 1e-6


def test_relations_are_those_of_the_paper():
    level_BCHW = torch.randn(2, 5, 3, 3).double()
    for image, found in zip(level_BCHW, position_relations(level_BCHW), strict=True):
        columns = [image[:, y, x] for y in range(3) for x in range(3)]
        cosines = np.array(
            [[float(a @ b / (a.norm() * b.norm())) for b in columns] for a in columns]
        )
        expected = cosines / np.sqrt((cosines**2).sum(1, keepdims=True))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_neither_order_nor_scale_nor_number_of_channels_matters():
    level = torch.randn(3, 6, 5, 5).double()
    teacher = position_relations(to_grid(torch.randn(3, 9, 5, 5).double(), 4))
    found = position_distance(level, teacher)
    permuted = 7 * level[:, torch.randperm(6)]
    torch.testing.assert_close(position_distance(permuted, teacher), found)
    twice = torch.cat([level, level], dim=1)
    torch.testing.assert_close(position_distance(twice, teacher), found)
    assert (position_distance(level.flip(3), teacher) - found).abs().min() > 1e-3


def test_places_without_any_feature_are_no_trouble():
    dead = torch.zeros(2, 4, 3, 3)
    alive = position_relations(torch.randn(2, 8, 3, 3))
    assert torch.isfinite(position_distance(dead, alive)).all()


@pytest.mark.parametrize("kind", ["projection", "relation", "dense"])
def test_the_scoring_batch_does_not_matter(run: Run, kind):
    found = []
    for batch in (24, 7):
        students = SupernetStudents(run, replace(IMAGES, batch=batch))
        teacher = Teacher(students, SPACE.maximum)
        distance = (
            DenseDistance(students, teacher, STAGES)
            if kind == "dense"
            else TeacherDistance(kind, students, teacher)
        )
        found.append(distance(SPACE.minimum))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_the_teacher_is_computed_once_and_checked_when_it_is_used_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    students = SupernetStudents(run, replace(IMAGES, batch=10))
    first = to_maximum(students, tmp_path)(SPACE.minimum)
    with monkeypatch.context() as patch:
        patch.setattr(Supernet, "extract", lambda *_: pytest.fail("the teacher ran again"))
        again = to_maximum(students, tmp_path)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) == 3
    assert again(SPACE.minimum) == first == to_maximum(students)(SPACE.minimum)
    intact, other = parts[0].read_bytes(), parts[1].read_bytes()
    changed = bytearray(intact)
    changed[-1] ^= 1
    for stale in (intact[:99], other, bytes(changed)):
        parts[0].write_bytes(stale)
        assert to_maximum(students, tmp_path)(SPACE.minimum) == first
        assert parts[0].read_bytes() == intact


class Maps(nn.Module):
    def __init__(self, levels: int) -> None:
        super().__init__()
        strides = [4, 2, 1, 1][:levels]
        self.layers = nn.ModuleList(
            nn.Conv2d(3 if not i else 8, 8, 3, stride, 1) for i, stride in enumerate(strides)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for layer in self.layers:
            x = layer(x).relu()
            found.append(x)
        return found


def external(levels: int, students: SupernetStudents) -> Teacher:
    network = ExternalTeacher(Maps(levels), side=48, origin="maps.py")
    return Teacher(ExternalStudents(network, SPACE, students.images), SPACE.maximum)


def test_a_teacher_from_elsewhere_is_nobody(students: SupernetStudents):
    distance = DenseDistance(students, external(4, students), STAGES)
    assert min(distance(subnet) for subnet in [SPACE.maximum, *SOME]) > 1e-3


def test_a_teacher_whose_stages_do_not_match_is_refused(students: SupernetStudents):
    with pytest.raises(HwsearchError, match=r"teacher shows 3 feature maps and .* show 4"):
        DenseDistance(students, external(3, students), STAGES)
    with pytest.raises(HwsearchError, match="--stages 5 does not exist"):
        DenseDistance(students, Teacher(students, SPACE.maximum), (4, 5))
    vector = ExternalTeacher(nn.Flatten(), side=8, origin="vector.py")
    teacher = Teacher(ExternalStudents(vector, SPACE, IMAGES), SPACE.maximum)
    with pytest.raises(HwsearchError, match="teacher shows 0 feature maps"):
        DenseDistance(students, teacher, STAGES)


def test_stages_fit_the_networks():
    assert default_stages("detection", 4) == (2, 3, 4)
    assert default_stages("segmentation", 4) == (3, 4)
    assert default_stages("detection", 2) == (1, 2)


def test_features_that_are_no_numbers_are_refused():
    broken = make_run()
    for name, value in broken.supernet().named_parameters():
        if "stage3" in name:
            value.fill_(torch.nan)
    students = SupernetStudents(broken, IMAGES)
    with pytest.raises(HwsearchError, match=r"features that the teacher gives .* not finite"):
        to_maximum(students)
    with pytest.raises(HwsearchError, match=r"features that the teacher gives .* not finite"):
        TeacherDistance("relation", students, Teacher(students, SPACE.maximum))


def test_too_few_images_are_refused_with_the_number_that_is_needed(tmp_path: Path):
    few = write_images(tmp_path / "few", 5)
    with pytest.raises(HwsearchError, match="needs 8 target images or more; there are 5"):
        load_target(str(few), 32)
    (tmp_path / "none").mkdir()
    with pytest.raises(HwsearchError, match="no images in the folder"):
        load_target(str(tmp_path / "none"), 32)


def test_images_of_any_size_and_number_of_channels_are_taken(tmp_path: Path, run: Run):
    rng = np.random.default_rng(0)
    for number, (mode, size) in enumerate(
        [("L", (9, 31)), ("RGBA", (64, 20)), ("RGB", (8, 8)), ("1", (40, 40))] * 2
    ):
        pixels = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").convert(mode).save(tmp_path / f"{number}.png")
    students = SupernetStudents(run, load_target(str(tmp_path), 32))
    assert to_maximum(students)(SPACE.minimum) > 0


def test_every_network_is_calibrated_on_equal_batches_of_the_same_images(run: Run):
    images = load_target("sklearn:digits", 32, limit=100)
    for asked, expected in ((512, (100, 50)), (97, (96, 48)), (64, (64, 64)), (9, (9, 9))):
        students = SupernetStudents(run, images, calibration_images=asked)
        told = {"images": expected[0], "batch": expected[1]}
        assert students.origin["calibration"] == told


def test_images_are_looked_at_in_an_order_that_does_not_follow_the_source():
    assert sorted(IMAGES.indices) != list(IMAGES.indices)
    again = load_target("sklearn:digits", 32, limit=24)
    np.testing.assert_array_equal(IMAGES.indices, again.indices)
    assert IMAGES.fingerprint == again.fingerprint
    photo = IMAGES.source.image(int(IMAGES.indices[3]))
    np.testing.assert_array_equal(IMAGES.prepared(32)[3], prepare(photo, 32))
