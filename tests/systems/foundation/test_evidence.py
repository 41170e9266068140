"""Each number of the evidence, where its value is known."""

import json

import numpy as np
import pytest
import torch
from miniature import CLASSES, clients, pool, settings, untrained
from PIL import Image

from fedgenbench.core.streams import stream
from fedgenbench.images.measures import accuracy, copied_share, grid, nearest, trained_classifier
from fedgenbench.images.pixels import to_tensor
from fedgenbench.systems.foundation.evidence import as_many, evaluate, inception_evidence, psnr

POOL = pool()


def noise(*names, count=20):
    return stream(0, *names).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_a_grid_is_read_row_by_row(tmp_path):
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (0, 50, 100, 150)])
    grid(images, 2, tmp_path / "grid.png")
    found = np.asarray(Image.open(tmp_path / "grid.png"))
    assert found[::2, ::2, 0].tolist() == [[0, 50], [100, 150]]


def test_the_nearest_image_is_found_mirrored_too():
    known = noise("known")
    copies = np.stack([known[3], known[7][:, ::-1]])
    distance, row = nearest(copies, known)
    assert row.tolist() == [3, 7]
    assert distance == pytest.approx(0, abs=1e-6)
    (shifted,), _ = nearest(np.full((1, 8, 8, 3), 51, np.uint8), np.zeros((1, 8, 8, 3), np.uint8))
    assert shifted == pytest.approx(0.2)


def test_copies_are_counted():
    known, unseen = noise("known"), noise("unseen", count=100)
    assert copied_share(known[:10], unseen, known) == 1
    assert copied_share(noise("others", count=200), unseen, known) < 0.15


def test_a_classifier_learns_two_colours():
    network = trained_classifier(POOL.images, POOL.labels, 3, epochs=10, seed=0)
    assert accuracy(network, POOL.images, POOL.labels) == 1
    assert accuracy(network, POOL.images, (POOL.labels + 1) % 3) == 0


def test_a_lossless_autoencoder_has_an_endless_ratio_and_a_grey_one_a_known_one():
    class Same:
        device = "cpu"

        def encode(self, x):
            return type("Out", (), {"latent_dist": type("D", (), {"mode": lambda _: x})()})

        def decode(self, z):
            return type("Out", (), {"sample": self.change(z)})

    network = Same()
    network.change = lambda z: z
    images = np.full((2, 8, 8, 3), 255, np.uint8)
    assert psnr(network, images) == pytest.approx(106.02, abs=0.01)  # the cut at 1e-10
    network.change = torch.zeros_like  # off by 1 of a peak of 2
    assert psnr(network, images) == pytest.approx(6.02, abs=0.01)


def test_accuracy_counts_by_weight():
    network = trained_classifier(POOL.images, POOL.labels, 3, epochs=10, seed=0)
    labels = np.where(POOL.labels == 0, 0, 1)  # wrong for the third class
    assert accuracy(network, POOL.images, labels, (POOL.labels < 2).astype(float)) == 1
    assert accuracy(network, POOL.images, labels, (POOL.labels == 2).astype(float)) == 0


def test_statistics_belong_to_the_weights():
    network = trained_classifier(POOL.images, POOL.labels, 3, epochs=2, seed=0)
    x = to_tensor(POOL.images)
    before = network.convs[0](x)
    assert network.norms[0].running_mean == pytest.approx(before.mean((0, 2, 3)).detach(), abs=1e-4)
    assert network.norms[0].momentum == 0.1


def test_as_many_real_images_follow_the_shares():
    seen = POOL.part(held_out=False).of_a_class()
    few = as_many(seen, settings(), 3)
    assert np.bincount(few.labels).tolist() == [3, 3]
    assert as_many(seen, settings(), 3).names == few.names
    everything = as_many(seen, settings(), 1000)
    assert sorted(everything.names) == sorted(seen.names)


class Colours(torch.nn.Module):
    """In the Inception's place: the mean colour of each image, and zeros up to its 2,048 features."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return torch.nn.functional.pad(self.scale.detach() * x.mean((2, 3)), (0, 2045))


def test_inception_compares_sets_of_one_size():
    black, white = (np.full((30, 32, 32, 3), value, np.uint8) for value in (0, 255))
    mixed = np.concatenate([black[:10], white[:10]])
    found = inception_evidence(Colours(), {"same": mixed, "other": black}, mixed)
    assert found["images"] == 20
    assert found["same"]["frechet"] == pytest.approx(0, abs=1e-6)
    assert found["same"]["precision"] == found["same"]["recall"] == found["same"]["coverage"] == 1
    assert found["other"]["frechet"] > 0.1
    assert found["other"]["recall"] < 1


def test_the_whole_evidence(tmp_path):
    chosen = settings()
    found = evaluate(untrained(), chosen, POOL, clients(), Colours(), tmp_path)
    json.dumps(found, allow_nan=False)
    assert found["images"] == chosen.evidence.per_class * (len(CLASSES) - 1)
    assert found["real_images"] == found["images"]
    assert found["seconds_per_image"] > 0
    assert found["accuracy_trained_on"]["real"].keys() == {"validation", "clients", "generated"}
    for picture in ("samples.png", "styles.png", "nearest.png", "vae.png"):
        assert Image.open(tmp_path / picture).size[0] % 32 == 0
