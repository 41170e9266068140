"""What is said of synthetic images, where the answer is known."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import DomainShardsSettings, make_partition
from fedgenbench.images.distances import kernel_distance
from fedgenbench.images.measures import copied_share
from fedgenbench.systems.warmfed import examination as module
from fedgenbench.systems.warmfed.examination import (
    GAP,
    Client,
    Part,
    clients_of,
    duplication,
    embedding,
    examine,
    likeness,
    overview,
    sheet,
    style,
)
from fedgenbench.systems.warmfed.membership import attacked

EDGE = 16
PAGE = Path(__file__).parents[3] / "docs/privacy.md"
DOMAINS = ["red", "green", "blue"]
CLASSES = ["dark", "light"]


def part(colour, *names, count=20):
    """Noise with ``colour`` on top; the second half of the labels is lighter."""
    images = stream(0, *names).integers(0, 90, (count, EDGE, EDGE, 3))
    labels = np.arange(count) * 2 // count
    images[..., colour] += 90
    images += 60 * labels[:, None, None, None]
    return Part(images.astype(np.uint8), labels)


def client(colour, drawn=None):
    real = part(colour, "real", colour)
    return Client(
        colour, real, part(colour, "test", colour, count=40), drawn or part(colour, "drawn", colour)
    )


def values(rows, kind, number):
    return {r["name"]: r["value"] for r in rows if (r["kind"], r["client"]) == (kind, number)}


def distances(images, known):
    """Root mean squares to every image of ``known`` and to its mirror image, by broadcasting."""
    both = np.concatenate([known, known[:, :, ::-1]]) / 255
    return np.sqrt(((images[:, None] / 255 - both[None]) ** 2).mean((2, 3, 4)))


def mean_colours(images):
    return torch.from_numpy(images.mean((1, 2)) / 255)


def test_distances_and_shares_of_honest_images():
    clients, prompts = [client(0), client(1)], part(2, "prompts")
    rows, _ = duplication(clients, prompts)
    known = np.concatenate([c.real.images for c in clients])
    for number, one in enumerate(clients):
        found, own = values(rows, "duplication", number), one.real.images
        for name, images in (
            ("distance", one.drawn.images),
            ("held_out", one.held_out.images),
            ("prompts_distance", prompts.images),
        ):
            assert found[f"{name}_own"] == pytest.approx(np.median(distances(images, own).min(1)))
            assert found[f"{name}_any"] == pytest.approx(np.median(distances(images, known).min(1)))
        for name, images in (("", one.drawn.images), ("prompts_", prompts.images)):
            share = copied_share(images, one.held_out.images, own)
            assert found[f"{name}copied_own"] == share
        # Two of forty lie below their own 5 % quantile; nobody else's images are near.
        assert found["held_out_copied_any"] == 2 / 40
        assert found["prompts_copied_any"] == 0


def test_copies_are_found_and_their_owners_named():
    other = client(1)
    mirrored = other.real.images[::2, :, ::-1]
    thief = client(0, Part(mirrored, other.real.labels[::2]))
    rows, pairs = duplication([thief, other], part(2, "prompts"))
    found = values(rows, "duplication", 0)
    assert found["copied_any"] == 1
    assert found["copied_own"] == 0
    assert found["distance_any"] == pytest.approx(0, abs=1e-6)
    assert found["distance_own"] > 0.1
    assert values(rows, "duplication", 1)["copied_any"] < 0.3

    tiles, entry = pairs[0]
    assert (entry["kind"], entry["client"]) == ("adapter", 0)
    assert set(entry["owners"]) == {1}
    assert np.array_equal(tiles[:, :, :EDGE], tiles[:, :, EDGE:][:, :, ::-1])
    kind, number = pairs[-1][1]["kind"], pairs[-1][1]["client"]
    assert (kind, number, len(pairs)) == ("prompt", -1, 3)
    assert pairs[-1][1]["distances"] == sorted(pairs[-1][1]["distances"])


def test_a_style_is_like_its_own_domain():
    """Clients 0 and 1 share a domain; client 2 has another, and client 3's adapter draws it too."""
    clients = [client(0), client(0), client(1), client(2, part(1, "stolen"))]
    prompts = part(2, "prompts")
    rows = likeness(clients, prompts, DOMAINS, mean_colours)
    found = [values(rows, "likeness", number) for number in range(4)]
    assert [each["rank"] for each in found[:3]] == [1, 1, 1]
    assert found[3]["rank"] > 1

    def apart(a, b):
        return kernel_distance(mean_colours(a), mean_colours(b))

    red = np.concatenate([clients[0].real.images, clients[1].real.images])
    first = clients[0]
    assert found[0]["real:red"] == apart(first.drawn.images, red)
    assert found[0]["own"] == apart(first.drawn.images, first.real.images)
    assert found[0]["held_out"] == apart(first.held_out.images, first.real.images)
    assert found[0]["prompts"] == apart(prompts.images, first.real.images)
    # Client 1 is of the same domain, and so is no other.
    strangers = [apart(clients[k].drawn.images, first.real.images) for k in (2, 3)]
    assert found[0]["others"] == pytest.approx(np.mean(strangers))
    assert found[0]["own"] < found[0]["others"]
    assert found[3]["real:green"] < found[3]["real:blue"]


def test_of_large_sets_evenly_spaced_images_are_compared(monkeypatch):
    one = client(0, part(0, "many", count=21))
    monkeypatch.setattr(module, "COMPARED", 10)
    found = values(likeness([one], one.drawn, DOMAINS, mean_colours), "likeness", 0)
    assert found["own"] == kernel_distance(
        mean_colours(one.drawn.images[::3]), mean_colours(one.real.images[::2])
    )
    assert "others" not in found


def test_the_style_of_an_image_is_what_the_classifier_says():
    half = Part(
        np.concatenate([part(0, "a", count=5).images, part(1, "b", count=15).images]),
        np.zeros(20, np.int64),
    )
    rows = style(
        [client(0, half), client(1)],
        part(1, "prompts"),
        lambda images: images.mean((1, 2)).argmax(1),
    )
    assert values(rows, "style", 0) == {"own": 0.25, "held_out": 1, "prompts": 0}
    assert values(rows, "style", 1) == {"own": 1, "held_out": 1, "prompts": 1}


def test_the_embedding_keeps_kinds_apart_and_is_the_same_each_time():
    clients, prompts = [client(0), client(1)], part(2, "prompts", count=30)
    frame = embedding(clients, prompts, mean_colours, 10, seed=0)
    pd.testing.assert_frame_equal(frame, embedding(clients, prompts, mean_colours, 10, seed=0))
    assert frame.groupby(["kind", "client"]).size().to_dict() == {
        ("adapter", 0): 10,
        ("adapter", 1): 10,
        ("prompt", -1): 20,
        ("real", 0): 10,
        ("real", 1): 10,
    }
    assert list(frame) == ["kind", "client", "label", "x", "y"]
    # The nearest neighbour of a picture has its colour: 0, 1 and, of the prompts, -1.
    places = frame[["x", "y"]].to_numpy()
    gaps = ((places[:, None] - places[None]) ** 2).sum(2) + 1e9 * np.eye(len(places))
    assert (frame.client.to_numpy()[gaps.argmin(1)] == frame.client).mean() > 0.95


def test_the_embedding_shows_the_same_images_beside_more_clients():
    fewer, more = (
        embedding([client(k) for k in range(n)], part(2, "prompts"), mean_colours, 7, seed=0)
        for n in (1, 2)
    )
    assert len(fewer) == 21
    for kind in ("real", "adapter"):
        kept = [f[(f.kind == kind) & (f.client == 0)].label.tolist() for f in (fewer, more)]
        assert kept[0] == kept[1]


def test_pictures_have_a_row_per_kind_and_a_column_per_class(tmp_path):
    only_dark = Part(part(0, "drawn").images[:3], np.zeros(3, np.int64))
    clients, prompts = [client(0, only_dark), client(1)], part(2, "prompts", count=8)
    card = {"domains": DOMAINS, "classes": CLASSES}
    template = np.tile([1, 0], 4)
    tiles, described = overview(clients, prompts, template, card)
    assert described["columns"] == CLASSES
    assert [(r["kind"], r["client"], r["name"]) for r in described["rows"]] == [
        ("real", 0, "red"),
        ("adapter", 0, "red"),
        ("real", 1, "green"),
        ("adapter", 1, "green"),
        ("prompt", -1, "template 0"),
        ("prompt", -1, "template 1"),
    ]
    table = tiles.reshape(6, 2, EDGE, EDGE, 3)
    assert np.array_equal(table[0, 1], clients[0].real.images[10])
    assert np.array_equal(table[1, 0], only_dark.images[0])
    assert (table[1, 1] == 255).all()
    assert np.array_equal(table[4, 0], prompts.images[1])
    assert np.array_equal(table[5, 1], prompts.images[4])

    sheet(tiles, 2, tmp_path / "grid.png")
    found = np.asarray(Image.open(tmp_path / "grid.png"))
    size = 2 * EDGE + 2 * GAP
    assert found.shape == (6 * size, 2 * size, 3)
    inner = found[GAP : size - GAP, size + GAP : 2 * size - GAP]
    assert np.array_equal(inner[::2, 1::2], table[0, 1])
    assert (found[:GAP] == 255).all()


def dataset():
    parts = {
        split: [part(colour, split, colour, count=16) for colour in range(3)]
        for split in ("train", "test")
    }
    arrays = {}
    for split, each in parts.items():
        arrays[f"{split}_images"] = np.concatenate([p.images for p in each])
        arrays[f"{split}_labels"] = np.concatenate([p.labels for p in each])
        arrays[f"{split}_domains"] = np.repeat([0, 1, 2], 16)
    public = part(0, "public", count=64)
    return Dataset(
        card={
            "name": "tiny",
            "title": "Tiny",
            "domains": DOMAINS,
            "classes": CLASSES,
            "sha256": "0" * 64,
        },
        public_images=public.images,
        public_labels=public.labels,
        **arrays,
    )


def partition(data):
    return make_partition(
        data, DomainShardsSettings(scheme="domain_shards", clients_per_domain=2), 0
    )


@pytest.mark.parametrize(("public", "edge"), [(True, EDGE), (False, EDGE // 2)])
def test_the_whole_report_has_the_rows_and_pictures_of_its_page(
    public, edge, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "EDGE", edge)
    data = dataset()
    if not public:
        object.__setattr__(data, "public_images", None)
    shards = partition(data)
    # Twice the edge, as of a base of another resolution.
    drawn = [
        Part(part(k // 2, "drawn", k, count=4).images.repeat(2, 1).repeat(2, 2), np.arange(4) // 2)
        for k in range(6)
    ]
    clients = clients_of(data, shards, drawn)
    assert [c.domain for c in clients] == [0, 0, 1, 1, 2, 2]
    assert sum(len(c.real.labels) for c in clients) == 48
    prompts = part(1, "prompts", count=12)
    rows, frame, pictures = examine(
        data,
        clients,
        prompts,
        np.arange(12) % 2,
        3,
        0,
        tmp_path / "grid.png",
        tmp_path / "duplicates.png",
    )
    rows += attacked(0, 2, lambda adapter: np.array([1.0, 2.0, 1.5, 2.5]), ["a"])
    listed = {
        (kind, name)
        for kind, names in re.findall(r"^\| (\w+) \| (`.*?`) \|", PAGE.read_text("utf-8"), re.M)
        for name in re.findall(r"`(\S+)`", names)
    }
    assert listed == {(r["kind"], re.sub(r"^real:.*", "real:<domain>", r["name"])) for r in rows}
    assert len({(r["kind"], r["client"], r["name"]) for r in rows}) == len(rows)
    assert np.isfinite([r["value"] for r in rows]).all()
    # Three colours are easily told apart.
    assert np.mean([values(rows, "style", k)["held_out"] for k in range(6)]) > 0.8
    assert len(frame) == 3 * 6 * 3 - (3 * 6 - 12)
    assert len(pictures["grid"]["rows"]) == 2 * 6 + 2
    assert len(pictures["duplicates"]) == 6 + 1
    width, height = Image.open(tmp_path / "duplicates.png").size
    # Four pairs a row, as many as a client has images.
    assert (width, height) == (4 * (4 * edge + 2 * GAP), 7 * (2 * edge + 2 * GAP))


def test_what_cannot_be_compared_is_refused():
    data = dataset()
    shards = partition(data)
    drawn = [part(0, "drawn", count=4)] * 6
    with pytest.raises(UserError, match="5 sets of synthetic images for 6 clients"):
        clients_of(data, shards, drawn[:5])
    mixed = dataset()
    mixed.train_domains[:] = np.arange(48) % 3
    with pytest.raises(UserError, match=r"client 0 of tiny has images of [23] domains"):
        clients_of(mixed, shards, drawn)
    apart = dataset()
    apart.test_labels[:] = 7
    with pytest.raises(UserError, match="client 0 of tiny has no class with both"):
        clients_of(apart, shards, drawn)
