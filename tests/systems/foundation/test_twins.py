"""What counts as the same drawing again."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fedgenbench.systems.foundation.twins import (
    differing_bits,
    distances,
    find_twins,
    perceptual_hash,
    twin_sheet,
)


def drawing(seed: int, colour=(220, 60, 40)) -> np.ndarray:
    """A few shapes on white, 32×32, always the same of one seed."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (32, 32), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, w, h = generator.integers(2, 14, 4)
        box = (int(x), int(y), int(x + w), int(y + h))
        fill = tuple(int(c * generator.uniform(0.5, 1)) for c in colour)
        pen.ellipse(box, fill=fill, outline="black")
    return np.asarray(image)


def test_distances_by_hand():
    black, white = (np.full((1, 4, 4, 3), value, np.uint8) for value in (0, 255))
    grey = np.full((1, 4, 4, 3), 51, np.uint8)
    assert distances(black, np.concatenate([white, grey])) == pytest.approx(np.array([[1, 0.2]]))


def test_a_hash_ignores_brightness_and_contrast_and_sees_structure():
    one, other = drawing(1), drawing(2)
    dimmed = (one // 2 + 60).astype(np.uint8)
    bits = perceptual_hash(np.stack([one, dimmed, other]), 16)
    assert bits.shape == (3, 255)
    apart = differing_bits(bits, bits)
    assert apart[0, 0] == 0
    assert apart[0, 1] < 20
    assert apart[0, 2] > 80


def test_bits_are_counted():
    a = np.array([[True, True, False, False]])
    b = np.array([[True, False, True, False], [True, True, False, False]])
    assert differing_bits(a, b).tolist() == [[2, 0]]


def test_twins_are_found_and_strangers_are_not():
    private = np.stack([drawing(seed) for seed in range(6)])
    asked = np.stack(
        [
            drawing(3),  # the same
            drawing(4)[:, ::-1],  # mirrored
            drawing(5, colour=(190, 70, 60)),  # in other shades
            drawing(77),
            drawing(78, colour=(20, 90, 220)),
        ]
    )
    assert find_twins(asked, private).tolist() == [3, 4, 5, -1, -1]


def test_pairs_stand_side_by_side():
    images, twins = (np.full((13, 32, 32, 3), value, np.uint8) for value in (10, 200))
    sheet = np.asarray(twin_sheet(images, twins))
    assert sheet.shape == (2 * 36, 12 * 72, 3)
    assert sheet[0, 0, 0] == 10
    assert sheet[0, 32, 0] == 200
    assert sheet[36, 0, 0] == 10
    assert sheet[36, 72, 0] == 255
