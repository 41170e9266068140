"""Near-duplicates of pictures: the same drawing again, perhaps in other shades or mirrored."""

from __future__ import annotations

from typing import Any

import numpy as np

# A twin is near in pixels; or nearer than strangers mostly are, with alike structure; or of the same
# structure at both sizes. Looked at in sheets of pairs (docs/foundation.md): what is refused in error are
# pale things and plain yellow faces, a few in a hundred drawings.
PIXELS, PIXELS_ALIKE = 0.10, 0.20  # root mean squared distance, of a range of 1
FINE_ALIKE, FINE_SAME = 80, 60  # of 255 bits
COARSE_SAME = 8  # of 63 bits
CHUNK = 2048  # images compared at a time


def perceptual_hash(images: np.ndarray, edge: int) -> np.ndarray:
    """Bits bool [N, edge² - 1]: which low frequencies of the grey image [N, H, W, 3] exceed their median.

    The usual perceptual hash: a cosine transform, of which the constant is left out.
    """
    from scipy.fft import dctn

    grey = images.astype(np.float64) @ (0.299, 0.587, 0.114)
    low = dctn(grey, axes=(1, 2), norm="ortho")[:, :edge, :edge].reshape(len(images), -1)[:, 1:]
    return low > np.median(low, 1, keepdims=True)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean squared pixel distances float32 [N, M], in [0, 1], of images uint8 [·, H, W, 3]."""
    x, y = (images.reshape(len(images), -1).astype(np.float32) / 255 for images in (a, b))
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.sqrt(squares.clip(0) / x.shape[1])


def differing_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamming distances [N, M] of hashes bool [N, D] and [M, D]."""
    x, y = a.astype(np.float32), b.astype(np.float32)
    return x.sum(1)[:, None] + y.sum(1)[None] - 2 * x @ y.T


def find_twins(images: np.ndarray, private: np.ndarray) -> np.ndarray:
    """For each image uint8 [N, H, W, 3] the row of its nearest twin among ``private``, or -1, int64 [N].

    A mirrored image counts as the same.
    """
    coarse, fine = perceptual_hash(private, 8), perceptual_hash(private, 16)
    found = np.full(len(images), -1)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        best = np.full((len(part), len(private)), np.inf, np.float32)
        for version in (part, part[:, :, ::-1]):
            apart = distances(version, private)
            bits = differing_bits(perceptual_hash(version, 16), fine)
            few = differing_bits(perceptual_hash(version, 8), coarse)
            alike = apart < PIXELS
            alike |= (apart < PIXELS_ALIKE) & (bits <= FINE_ALIKE)
            alike |= (few <= COARSE_SAME) & (bits <= FINE_SAME)
            best = np.minimum(best, np.where(alike, apart, np.inf))
        nearest = best.argmin(1)
        has_one = np.isfinite(best[np.arange(len(part)), nearest])
        found[start : start + CHUNK] = np.where(has_one, nearest, -1)
    return found


def twin_sheet(images: np.ndarray, twins: np.ndarray, pairs: int = 12) -> Any:
    """A PIL image of all pairs, an image beside its twin, ``pairs`` in a row."""
    from PIL import Image

    both = np.concatenate([images, twins], 2)
    height, width = both.shape[1:3]
    rows = max(1, -(-len(both) // pairs))
    sheet = np.full((rows * (height + 4), pairs * (width + 8), 3), 255, np.uint8)
    for number, pair in enumerate(both):
        y, x = divmod(number, pairs)
        sheet[y * (height + 4) :, x * (width + 8) :][:height, :width] = pair
    return Image.fromarray(sheet)
