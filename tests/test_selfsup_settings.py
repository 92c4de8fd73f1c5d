"""What methods are told: defaults of each, as the help says them, and what is refused."""

import re
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image
from tiny_space import NAME

from hwsearch.arguments import field_docs
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.errors import HwsearchError
from hwsearch.selfsup import method_names
from hwsearch.selfsup.settings import DEFAULTS, MethodSettings, resolve
from hwsearch.selfsup.teacher import EmaTeacher
from hwsearch.train import TrainOptions, session, train

SETTINGS = sorted({name for takes in DEFAULTS.values() for name in takes})
WORDS = {None: "constant", False: "own"}
"""How the help says values that are no numbers."""


@pytest.mark.parametrize("setting", SETTINGS)
def test_help_says_which_default_belongs_to_which_method(setting):
    expected = defaultdict(set)
    for method, takes in DEFAULTS.items():
        if setting in takes:
            expected[str(WORDS.get(takes[setting], takes[setting]))].add(method)
    text = " ".join(field_docs(TrainOptions)[setting].split())
    said = re.findall(r"(\S+) \(([a-z0-9, -]+)\)", text)
    assert {value: set(methods.split(", ")) for value, methods in said} == expected


def test_every_method_has_defaults_and_a_word_in_the_help():
    assert list(method_names()) == sorted(DEFAULTS)
    for name in method_names():
        assert name in field_docs(TrainOptions)["method"]


def test_given_settings_win_and_a_default_queue_suits_the_images():
    moco = resolve("moco-v2", {"temperature": 0.5}, images=1000, batch=64)
    assert (moco.temperature, moco.queue, moco.ema, moco.ema_end) == (0.5, 192, 0.999, None)
    assert resolve("ressl", {"queue": 0}, images=1000, batch=64).queue == 0
    assert resolve("ressl", {}, images=10**6, batch=64).queue == 131_072
    assert resolve("simsiam", {}, images=9, batch=4).projection == 2048


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "byol", "queue": 64}, "--queue means nothing to method 'byol'. Leave it out, "),
        ({"method": "simsiam", "ema": 0.9}, "or use --method byol or densecl or moco-v2 or ressl"),
        ({"max_target": True}, "--max-target means nothing to method 'moco-v2'"),
        ({"method": "simsam"}, "unknown method 'simsam'. Did you mean simsiam"),
        ({"method": "byol", "ema_end": 1.5}, "--ema-end 1.5 is out of range. Use 1 or less"),
    ],
)
def test_what_a_method_does_not_take_is_refused(tmp_path, changes, message):
    with pytest.raises(HwsearchError) as caught:
        TrainOptions(data="sklearn:digits", space=NAME, out=tmp_path, **changes)
    assert message in str(caught.value)


def test_settings_of_the_first_checkpoints_are_those_of_moco_v2():
    first = {"projection_hidden": 2048, "temperature": 0.2, "ema": 0.999, "norm_groups": 2}
    resolved = resolve("moco-v2", {}, images=10**6, batch=256)
    assert asdict(MethodSettings(**first, queue=65_536)) == asdict(resolved)


@pytest.fixture
def images(tmp_path):
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def short_run(method, images):
    small = {"epochs": 1, "batch": 8, "threads": 1, "projection_hidden": 16, "projection": 12}
    run = images / "run"
    return TrainOptions(data=str(images), space=NAME, out=run, method=method, amp="fp32", **small)


@pytest.mark.parametrize("name", ["moco-v2", "ressl"])
def test_only_ressls_teacher_sees_a_weak_view(name, images, monkeypatch):
    seen = []
    augment = session.augment

    def spy(*args, view, options, **rest):
        seen.append((view, options))
        return augment(*args, view=view, options=options, **rest)

    monkeypatch.setattr(session, "augment", spy)
    options = short_run(name, images)
    train(options)
    strong = options.augmentation()
    weak = AugmentOptions(jitter=(0.0,) * 4, grey_share=0.0, blur_share=0.0)
    assert seen == [(0, strong), (1, weak if name == "ressl" else strong)] * 3


def test_the_teacher_is_told_how_far_the_run_is(images, monkeypatch):
    told = []
    monkeypatch.setattr(EmaTeacher, "update", lambda *args: told.append(args[2]))
    train(short_run("byol", images))
    assert told == [0, 1 / 3, 2 / 3]
