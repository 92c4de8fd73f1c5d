"""Two augmented views of the target images, always the same ones."""

from collections.abc import Iterator

import torch

from hwsearch.data.augment import augment
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.distance.images import TargetImages
from hwsearch.nn.place import Place
from hwsearch.selfsup.base import Views


def views_of(
    images: TargetImages,
    side: int,
    *,
    batch: int,
    seed: int = 0,
    options: AugmentOptions | None = None,
    weak_key: bool = False,
    place: Place = "cpu",
) -> Iterator[Views]:
    """Yields views of whole batches of images; a last one that is not full is left out.

    Args:
        images: Of the target domain.
        side: Height and width of the views in pixels.
        batch: Images at a time.
        seed: Chooses the views.
        options: How strongly they are augmented; as in MoCo v2 if None.
        weak_key: Whether the key view is only cropped and flipped.
        place: Where they are made and stay.
    """
    options, prepared = options or AugmentOptions(), images.prepared(side)
    numbers_N = torch.from_numpy(images.indices)
    for step, start in enumerate(range(0, len(images) - batch + 1, batch)):
        chosen = slice(start, start + batch)
        pixels_BCHW = torch.from_numpy(prepared[chosen]).permute(0, 3, 1, 2).to(place)
        query, key = (
            augment(
                pixels_BCHW,
                numbers_N[chosen],
                side=side,
                seed=seed,
                epoch=0,
                view=view,
                options=strength,
            )
            for view, strength in enumerate((options, options.weak() if weak_key else options))
        )
        yield Views(query, key, numbers_N[chosen].to(place), step, 1.0)
