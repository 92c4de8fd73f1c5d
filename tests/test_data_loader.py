from dataclasses import replace

import numpy as np
import pytest
import torch

from hwsearch.data.augment import augment
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.data.canvas import CanvasOptions, write_canvases
from hwsearch.data.draws import hashes, permutation, uniform
from hwsearch.data.images import load_images, normalise
from hwsearch.data.loader import Batch, Loader, LoaderOptions
from hwsearch.data.prepare import normalise_array
from hwsearch.data.sources import CorruptImage, open_source
from hwsearch.data.sources.digits import DigitsSource
from hwsearch.errors import HwsearchError

OPTIONS = LoaderOptions(batch=128, side=8, workers=0)
STREAMED = replace(OPTIONS, cache_mb=0)


class DamagedDigits(DigitsSource):
    """Digits of which some cannot be read, two of them neighbours."""

    damaged = (5, 6, 1796)

    def image(self, index: int) -> np.ndarray:
        if index in self.damaged:
            raise CorruptImage(self.sample_name(index), "truncated")
        return super().image(index)


def take(loader: Loader, count: int) -> list[Batch]:
    batches: list[Batch] = []
    while len(batches) < count:
        for batch in loader:
            batches.append(batch)
            if len(batches) == count:
                break
    return batches


def same(left: list[Batch], right: list[Batch]) -> bool:
    return all(
        torch.equal(a.indices, b.indices) and torch.equal(a.images, b.images) and a.epoch == b.epoch
        for a, b in zip(left, right, strict=True)
    )


def test_draws_depend_on_their_place_only():
    everything = uniform(1, 2, np.arange(1000)[:, None], np.arange(4))
    np.testing.assert_array_equal(
        uniform(1, 2, np.array([7])[:, None], np.arange(4))[0], everything[7]
    )
    assert 0 <= everything.min() < 0.01
    assert 0.99 < everything.max() < 1
    assert abs(everything.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(everything.T) - np.eye(4)).max() < 0.1
    assert len(set(hashes(0, np.arange(1000)))) == 1000
    assert hashes(0, 1) != hashes(1, 0)
    assert sorted(permutation(50, 3)) == list(range(50))
    # A changed generator would change every run that is resumed with a newer version.
    assert int(hashes(1, 2, 3)) == 15020427595393229491


@pytest.mark.parametrize("options", [OPTIONS, STREAMED, replace(STREAMED, workers=2)])
def test_interrupted_is_the_same_as_uninterrupted(options):
    source = open_source("sklearn:digits")
    whole = take(Loader(source, OPTIONS), 20)
    first = Loader(source, options)
    begun = take(first, 9)
    second = Loader(source, options)
    second.load_state_dict(first.state_dict())
    random_state = torch.get_rng_state()
    assert same(begun + take(second, 11), whole)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert second.images_per_second(second.times) > 0


def test_an_epoch_visits_each_image_once_over_all_processes():
    source = open_source("sklearn:digits")
    shares = [list(Loader(source, OPTIONS, rank=rank, world=2)) for rank in (0, 1)]
    together = list(Loader(source, OPTIONS))
    for left, right, both in zip(*shares, together, strict=True):
        dealt = torch.stack((left.indices, right.indices), dim=1)
        assert torch.equal(dealt.flatten(), both.indices)
    seen = torch.cat([batch.indices for batch in together])
    assert len(seen.unique()) == len(seen) == 14 * 128


def test_options_that_do_not_fit_are_refused():
    source = open_source("sklearn:digits")
    with pytest.raises(HwsearchError, match="--batch 1797 or less"):
        Loader(source, replace(OPTIONS, batch=2000))
    with pytest.raises(HwsearchError, match=r"--max-corrupt-share 1\.5"):
        LoaderOptions(max_corrupt_share=1.5)


def test_corrupt_images_are_replaced_by_the_next_readable_one(capsys):
    damaged = DamagedDigits()
    runs = [list(Loader(damaged, options)) for options in (OPTIONS, STREAMED)]
    assert same(*runs)
    assert same(list(Loader(damaged, replace(STREAMED, workers=2))), runs[0])
    plain = torch.cat([batch.indices for batch in Loader(DigitsSource(), OPTIONS)])
    stood_in = torch.cat([batch.indices for batch in runs[0]])
    expected = plain.clone()
    for index, other in ((5, 7), (6, 7), (1796, 0)):
        expected[plain == index] = other
    assert torch.equal(stood_in, expected)
    assert "digit-0005: truncated" in capsys.readouterr().out
    for options in (OPTIONS, STREAMED, replace(STREAMED, workers=2)):
        strict = replace(options, max_corrupt_share=0.0005)
        with pytest.raises(HwsearchError, match="of 1797 images cannot be read"):
            list(Loader(damaged, strict))


def test_processes_count_the_corrupt_images_of_all_of_them():
    options = replace(STREAMED, max_corrupt_share=2.5 / 1797)
    loaders = [Loader(DamagedDigits(), options, rank=rank, world=2) for rank in (0, 1)]
    met = {index for loader in loaders for _ in loader for index in loader.corrupt}
    assert met == set(DamagedDigits.damaged)
    for loader in loaders:
        assert 0 < len(loader.corrupt) < 3
        with pytest.raises(HwsearchError, match="3 of 1797 images cannot be read"):
            loader.hear_of_corrupt(met)


def test_evaluation_images_are_complete_labelled_and_seeded():
    source = DamagedDigits()
    images = load_images(source, 16)
    assert images.images.shape == (1794, 3, 16, 16)
    assert images.labels[5] == source.label(7)
    few, more = (set(load_images(source, 8, limit=n, seed=1).indices.tolist()) for n in (50, 90))
    assert few < more
    pixels = images.images[:4]
    expected = normalise_array(pixels.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(normalise(pixels).numpy(), expected)


def views(images: torch.Tensor, indices: torch.Tensor, **changes) -> torch.Tensor:
    fixed = {"side": 32, "seed": 0, "epoch": 3, "view": 0, "options": AugmentOptions()}
    return augment(images, indices, **(fixed | changes))


def some_images(count: int, side: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def test_a_sample_looks_the_same_in_any_batch():
    images, indices = some_images(64), torch.arange(64) * 7
    whole = views(images, indices)
    part = torch.tensor([9, 3, 40])
    torch.testing.assert_close(views(images[part], indices[part]), whole[part], rtol=0, atol=1e-5)
    assert torch.equal(views(images, indices), whole)
    for change in ({"seed": 1}, {"epoch": 4}, {"view": 1}):
        assert (views(images, indices, **change) - whole).abs().mean() > 0.3
    assert whole.abs().max() < 2.0001


def test_switched_off_augmentation_leaves_the_image():
    off = AugmentOptions(
        crop_scale=(1, 1),
        crop_ratio=(1, 1),
        jitter_share=0,
        grey_share=0,
        blur_share=0,
        flip_share=0,
    )
    images = some_images(8, 32)
    kept = views(images, torch.arange(8), options=off)
    torch.testing.assert_close(kept, normalise(images), rtol=0, atol=1e-5)
    mirrored = views(images, torch.arange(8), options=replace(off, flip_share=1))
    torch.testing.assert_close(mirrored, normalise(images).flip(3), rtol=0, atol=1e-4)
    grey = views(images, torch.arange(8), options=replace(off, grey_share=1))
    assert (grey.amax(1) - grey.amin(1)).max() < 1e-5
    blurred = views(images, torch.arange(8), options=replace(off, blur_share=1, blur_sigma=(9, 9)))
    assert blurred.std() < 0.7 * kept.std()
    torch.testing.assert_close(blurred.mean(), kept.mean(), rtol=0, atol=0.02)


def test_crops_that_follow_the_content_hide_where_it_was():
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[0, :, 2:10, 3:11] = images[1, :, 20:28, 15:23] = 200
    follow = AugmentOptions(
        crop_scale=(0.8, 1.5), crop_shift=0.2, crop_follow=True, jitter_share=0, blur_share=0
    )
    same_draws = torch.zeros(2, dtype=torch.int64)
    first, second = views(images, same_draws, options=follow)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
    assert first.max() > 1


def test_grey_images_stay_grey_whatever_the_jitter():
    images = some_images(32)[:, :1].expand(-1, 3, -1, -1)
    jittered = views(images, torch.arange(32), options=AugmentOptions(grey_share=0))
    assert (jittered.amax(1) - jittered.amin(1)).max() < 0.01


def test_bad_strengths_are_refused():
    with pytest.raises(HwsearchError, match=r"--crop-min to --crop-max 0\.5 0\.2"):
        AugmentOptions(crop_scale=(0.5, 0.2))
    with pytest.raises(HwsearchError, match="flip_share 2"):
        AugmentOptions(flip_share=2)


def test_canvases_hold_each_digit_in_one_split_only(tmp_path):
    options = CanvasOptions(pretrain=60, placements=2, target=20, labelled_train=30)
    folders = write_canvases(tmp_path / "images", options=options)
    sources = [open_source(path) for path in vars(folders).values()]
    assert [len(source) for source in sources] == [120, 20, 30, 1687]
    digits = [
        {source.sample_name(i).rpartition("/")[2][:10] for i in range(len(source))}
        for source in sources
    ]
    assert len(set.union(*digits)) == sum(map(len, digits)) == 1797
    held_back = sources[3]
    assert held_back.classes == tuple("0123456789")
    digit = int(held_back.sample_name(0).rpartition("digit-")[2][:4])
    assert held_back.label(0) == DigitsSource().label(digit)
    image = held_back.image(0)
    assert image.shape == (32, 32, 3)
    assert image.max() > 100
    before = folders.pretrain.stat().st_mtime_ns
    assert write_canvases(tmp_path / "images", options=options) == folders
    assert folders.pretrain.stat().st_mtime_ns == before
    with pytest.raises(HwsearchError, match="holds other images"):
        write_canvases(tmp_path / "images", seed=1, options=options)
