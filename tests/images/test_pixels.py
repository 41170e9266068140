"""Images between bytes and networks."""

import numpy as np
import torch
from miniature import pool

from fedgenbench.images.pixels import SHIFT, moved, recoloured, to_bytes, to_tensor


def seeded():
    return torch.Generator().manual_seed(0)


def test_bytes_survive_the_way_there_and_back():
    images = np.arange(256, dtype=np.uint8).repeat(12).reshape(1, 32, 32, 3)
    tensor = to_tensor(images)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(to_bytes(tensor), images)


def test_what_lies_outside_is_cut_off():
    assert to_bytes(torch.tensor([-3.0, 0.0, 3.0]).view(1, 3, 1, 1)).ravel().tolist() == [
        0,
        128,
        255,
    ]


def test_moved_images_are_shifts_and_mirrors_over_white():
    image = torch.full((1, 3, 8, 8), 1.0)
    image[0, :, 3, 2] = -1.0
    places = set()
    for found in moved(image.expand(200, -1, -1, -1), seeded()):
        ((_, y, x),) = (found[:1] < 0).nonzero().tolist()
        assert (found == 1).sum() == 3 * 63
        places.add((y, x))
    columns = {x + d for x in (2, 8 - 1 - 2) for d in range(-SHIFT, SHIFT + 1)}
    assert {y for y, _ in places} == {3 + d for d in range(-SHIFT, SHIFT + 1)}
    assert {x for _, x in places} == columns


def test_half_of_the_images_keep_their_colours_and_the_rest_their_brightness_or_line_art():
    images = to_tensor(pool().images).repeat(10, 1, 1, 1)
    found = recoloured(images, seeded())
    same = (found == images).flatten(1).all(1)
    grey = (found[:, 0] == found[:, 1]).flatten(1).all(1) & ~same
    assert 0.4 < same.float().mean() < 0.6
    assert 0.15 < grey.float().mean() < 0.35
    other = ~same & ~grey
    assert torch.allclose(found[other].mean(1), images[other].mean(1), atol=1e-6)
