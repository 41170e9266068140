import hashlib
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fedgenbench.core.errors import UserError
from fedgenbench.data.dataset import Dataset
from fedgenbench.data.partition import (
    ClassBlocksSettings,
    Client,
    DirichletSettings,
    DomainSettings,
    DomainShardsSettings,
    FedPacSettings,
    Partition,
    Scheme,
    make_partition,
)
from fedgenbench.data.sources import source_table


def toy(train, test, domains=None, classes=None):
    """Images per class; with ``domains``, each domain has as many."""
    n_domains = len(domains or [None])

    def labels(counts):
        return np.tile(np.repeat(np.arange(len(counts)), counts), n_domains)

    def numbers(counts):
        return np.repeat(np.arange(n_domains), sum(counts)) if domains else None

    card = {"name": "toy", "title": "Toy", "sha256": "0" * 64, "domains": domains}
    card["classes"] = [str(number) for number in range(classes or len(train))]
    image = np.zeros((1, 1, 1), np.uint8)
    return Dataset(
        card=card,
        train_images=np.broadcast_to(image, (n_domains * sum(train), 1, 1, 1)),
        train_labels=labels(train),
        test_images=np.broadcast_to(image, (n_domains * sum(test), 1, 1, 1)),
        test_labels=labels(test),
        train_domains=numbers(train),
        test_domains=numbers(test),
    )


def fedpac(**values):
    return FedPacSettings(scheme="fedpac", **values)


def used(partition, part):
    return Counter(row for client in partition.clients for row in getattr(client, part).tolist())


def shared_from(partition, part):
    """The first client, counted from one, that holds an image of an earlier one."""
    seen = set()
    for number, client in enumerate(partition.clients, 1):
        rows = set(getattr(client, part).tolist())
        if rows & seen:
            return number
        seen |= rows
    return None


def counted(partition, data):
    for part, labels in (("train", data.train_labels), ("test", data.test_labels)):
        for client, histogram in zip(partition.clients, partition.histograms[part], strict=True):
            rows = getattr(client, part)
            assert np.bincount(labels[rows], minlength=data.n_classes).tolist() == histogram
            assert (np.diff(rows) > 0).all()


# --- fedpac

CIFAR = toy([5000] * 10, [1000] * 10)
FASHION = toy([6000] * 10, [1000] * 10)
# As many classes as EMNIST by class has, digits the most frequent by far, as there.
EMNIST = toy([30_000] * 10 + [2000] * 52, [5000] * 10 + [300] * 52)

TRIPLES = [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8], [8, 9, 0]]
# FedPAC's own values per data set.
FEDPAC = {
    "fashion_mnist": {"groups": TRIPLES, "train_per_client": 600, "test_per_client": 600},
    "cifar10": {
        "groups": TRIPLES,
        "train_per_client": 600,
        "test_per_client": 300,
        "train_start": 2000,
        "test_start": 500,
    },
    # digits, upper case, lower case
    "emnist": {
        "groups": [list(range(10)), list(range(10, 36)), list(range(36, 62))],
        "train_per_client": 1000,
        "test_per_client": 600,
    },
}


@pytest.mark.parametrize("clients", [10, 20, 100])
def test_fedpac_cifar10(clients):
    partition = make_partition(CIFAR, fedpac(clients=clients, **FEDPAC["cifar10"]), 0)
    groups = FEDPAC["cifar10"]["groups"]
    for number in range(clients):
        train, test = [12] * 10, [6] * 10
        for label in groups[number % 5]:
            train[label], test[label] = 172, 86
        assert partition.histograms["train"][number] == train
        assert partition.histograms["test"][number] == test
    counted(partition, CIFAR)


def test_fedpac_fashion_mnist():
    partition = make_partition(FASHION, fedpac(clients=100, **FEDPAC["fashion_mnist"]), 0)
    assert partition.histograms["train"][4] == [172, 12, 12, 12, 12, 12, 12, 12, 172, 172]
    assert partition.histograms["train"] == partition.histograms["test"]
    counted(partition, FASHION)


@pytest.mark.parametrize(
    ("data", "name", "train", "test"),
    # Even classes are needed 380 times by five clients; a client's piece is never split, and
    # CIFAR-10 starts at 2,000 and 500, so the unused ends of classes bring repeats forward a little.
    [(FASHION, "fashion_mnist", 77, 12), (CIFAR, "cifar10", 62, 26)],
)
def test_fedpac_repeats_when_a_class_is_used_up(data, name, train, test):
    partition = make_partition(data, fedpac(clients=100, **FEDPAC[name]), 0)
    assert shared_from(partition, "train") == train
    assert shared_from(partition, "test") == test
    for clients in (10, 20):
        few = make_partition(data, fedpac(clients=clients, **FEDPAC[name]), 0)
        assert shared_from(few, "train") is None


def test_fedpac_emnist():
    partition = make_partition(EMNIST, fedpac(clients=6, **FEDPAC["emnist"]), 0)
    digits, upper, lower = partition.histograms["train"][:3]
    # Of 200 images each class gets 3 and the last one 17; of 800 a digit gets 80, a letter 30 and
    # the group's last letter 50.
    assert digits == [83] * 10 + [3] * 51 + [17]
    assert upper == [3] * 10 + [33] * 25 + [53] + [3] * 25 + [17]
    assert lower == [3] * 36 + [33] * 25 + [17 + 50]
    digits, upper, lower = partition.histograms["test"][:3]
    # Of 120 each class gets 1 and the last one 59; of 480 a digit gets 48, a letter 18 or 30.
    assert digits == [49] * 10 + [1] * 51 + [59]
    assert upper == [1] * 10 + [19] * 25 + [31] + [1] * 25 + [59]
    assert lower == [1] * 36 + [19] * 25 + [59 + 30]
    for part, total in (("train", 1000), ("test", 600)):
        assert partition.histograms[part][3:] == partition.histograms[part][:3]
        assert [sum(row) for row in partition.histograms[part]] == [total] * 6
    counted(partition, EMNIST)
    assert shared_from(partition, "train") is None


@pytest.mark.parametrize("clients", [20, 100])
def test_fedpac_emnist_with_many_clients(clients):
    partition = make_partition(EMNIST, fedpac(clients=clients, **FEDPAC["emnist"]), 0)
    counted(partition, EMNIST)
    assert {len(client.train) for client in partition.clients} == {1000}
    assert {len(client.test) for client in partition.clients} == {600}


def test_fedpac_wraps_to_the_start_of_the_class():
    data = toy([10, 10], [10, 10])
    scheme = {"groups": [[0]], "uniform_share": 0.0, "train_per_client": 4, "test_per_client": 5}
    clients = make_partition(data, fedpac(clients=4, **scheme), 0).clients
    assert not set(clients[0].train) & set(clients[1].train)
    assert clients[2].train.tolist() == clients[0].train.tolist()
    assert clients[3].train.tolist() == clients[1].train.tolist()
    assert clients[2].test.tolist() == clients[0].test.tolist()
    started = make_partition(data, fedpac(clients=2, train_start=4, **scheme), 0).clients
    assert started[0].train.tolist() == clients[1].train.tolist()
    assert started[1].train.tolist() == clients[0].train.tolist()


@given(
    clients=st.integers(1, 30),
    share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    train=st.integers(1, 60),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=50)
def test_fedpac_clients_are_equal_in_size_and_hold_no_image_twice(clients, share, train, seed):
    data = toy([70, 65, 90, 70], [80] * 4)
    scheme = fedpac(
        clients=clients,
        groups=[[0, 1], [2, 3], [3]],
        uniform_share=share,
        train_per_client=train,
        test_per_client=10,
    )
    partition = make_partition(data, scheme, seed)
    counted(partition, data)
    for client in partition.clients:
        assert (len(set(client.train.tolist())), len(client.test)) == (train, 10)
    for number in range(3, clients):
        assert partition.histograms["train"][number] == partition.histograms["train"][number - 3]


def test_fedpac_refuses_what_the_data_cannot_give():
    scheme = {"train_per_client": 50, "test_per_client": 5}
    with pytest.raises(UserError, match=r"partition.train_per_client.*class 0.*has 20"):
        make_partition(toy([20, 90], [9, 9]), fedpac(clients=2, groups=[[0]], **scheme), 0)
    for groups in ([[0, 2]], [[1, 1]]):
        with pytest.raises(UserError, match=r"partition.groups"):
            make_partition(toy([90, 90], [9, 9]), fedpac(clients=2, groups=groups, **scheme), 0)


# --- the other schemes: every image is dealt out once

WORLD = toy([9, 5, 7], [4, 3, 3], domains=["north", "south"])


def dealt_once(partition, data, parts=("train", "test")):
    for part in parts:
        labels = getattr(data, f"{part}_labels")
        assert used(partition, part) == Counter(range(len(labels)))


def test_domain():
    partition = make_partition(WORLD, DomainSettings(scheme="domain"), 0)
    dealt_once(partition, WORLD)
    for number, client in enumerate(partition.clients):
        assert (WORLD.train_domains[client.train] == number).all()
        assert (WORLD.test_domains[client.test] == number).all()
    counted(partition, WORLD)


@given(count=st.integers(1, 21), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_domain_shards(count, seed):
    scheme = DomainShardsSettings(scheme="domain_shards", clients_per_domain=count)
    partition = make_partition(WORLD, scheme, seed)
    dealt_once(partition, WORLD, ("train",))
    counted(partition, WORLD)
    for number, client in enumerate(partition.clients):
        assert (WORLD.train_domains[client.train] == number // count).all()
        assert (
            client.test.tolist() == np.flatnonzero(WORLD.test_domains == number // count).tolist()
        )
    sizes = [len(client.train) for client in partition.clients]
    assert max(sizes) - min(sizes) <= 1


@given(
    clients=st.integers(1, 8),
    alpha=st.sampled_from([0.3, 1.0, 100.0]),
    least=st.integers(1, 10),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=30)
def test_dirichlet(clients, alpha, least, seed):
    data = toy([60, 80, 100], [30, 40, 50])
    scheme = DirichletSettings(scheme="dirichlet", clients=clients, alpha=alpha, min_samples=least)
    partition = make_partition(data, scheme, seed)
    dealt_once(partition, data)
    counted(partition, data)
    assert min(len(client.train) for client in partition.clients) >= least
    train, test = (np.array(partition.histograms[part]) for part in ("train", "test"))
    # The same shares of the same classes, half as many images, each bound rounded down.
    assert np.abs(train / 2 - test).max() <= 1


def test_dirichlet_alpha_is_the_skew():
    data = toy([500] * 10, [100] * 10)

    def spread(alpha):
        scheme = DirichletSettings(scheme="dirichlet", clients=10, alpha=alpha)
        return np.std(make_partition(data, scheme, 0).histograms["train"])

    assert spread(0.1) > spread(1.0) > spread(100.0)
    assert spread(100.0) < 10


def test_dirichlet_gives_up_in_bounded_time():
    data = toy([50] * 4, [9] * 4)
    scheme = DirichletSettings(scheme="dirichlet", clients=20, alpha=0.01)
    with pytest.raises(UserError, match=r"partition.min_samples.*alpha 0.01"):
        make_partition(data, scheme, 0)
    scheme = DirichletSettings(scheme="dirichlet", clients=21, alpha=1.0)
    with pytest.raises(UserError, match=r"partition.clients: 21"):
        make_partition(data, scheme, 0)


def test_class_blocks():
    data = toy([5, 6, 7, 8, 9, 4], [1, 2, 3, 4, 5, 6])
    partition = make_partition(
        data, ClassBlocksSettings(scheme="class_blocks", classes_per_client=2), 0
    )
    assert partition.histograms["train"] == [
        [5, 6, 0, 0, 0, 0],
        [0, 0, 7, 8, 0, 0],
        [0, 0, 0, 0, 9, 4],
    ]
    dealt_once(partition, data)
    with pytest.raises(UserError, match=r"partition.classes_per_client: 4.*6 classes"):
        make_partition(data, ClassBlocksSettings(scheme="class_blocks", classes_per_client=4), 0)


def test_class_blocks_that_overlap():
    data = toy([5, 6, 7, 8], [1, 2, 3, 4])

    def blocks(**settings):
        return ClassBlocksSettings(scheme="class_blocks", **settings)

    scheme = blocks(classes_per_client=3, stride=2)
    partition = make_partition(data, scheme, 0)
    # Classes 0 and 2 have two holders: their training images are dealt out, test images are not.
    assert partition.histograms["train"] == [[3, 6, 4, 0], [2, 0, 3, 8]]
    assert partition.histograms["test"] == [[1, 2, 3, 0], [1, 0, 3, 4]]
    dealt = np.sort(np.concatenate([client.train for client in partition.clients]))
    assert dealt.tolist() == list(range(26))
    assert lists(partition) != lists(make_partition(data, scheme, 1))
    assert scheme.size_hint("fashion_mnist", None)[0] == 5
    for keys, said in (
        ({"classes_per_client": 3, "stride": 3}, "partition.stride: 3 does not suit the 4 classes"),
        ({"classes_per_client": 5, "stride": 2}, "partition.classes_per_client: 5 does not suit"),
    ):
        with pytest.raises(UserError, match=said):
            make_partition(data, blocks(**keys), 0)
    with pytest.raises(ValueError, match="leaves classes to nobody"):
        blocks(classes_per_client=1, stride=2)


@pytest.mark.parametrize(
    "scheme",
    [
        DomainSettings(scheme="domain"),
        DomainShardsSettings(scheme="domain_shards", clients_per_domain=2),
    ],
)
def test_domains_are_needed(scheme):
    with pytest.raises(UserError, match=rf"partition.scheme: {scheme.scheme} needs"):
        make_partition(toy([5, 5], [5, 5]), scheme, 0)


def test_more_shards_than_images():
    scheme = DomainShardsSettings(scheme="domain_shards", clients_per_domain=22)
    with pytest.raises(UserError, match=r"partition.clients_per_domain: 22.*north"):
        make_partition(WORLD, scheme, 0)


# --- all schemes

SCHEMES = [
    fedpac(clients=3, groups=[[0], [1, 2]], train_per_client=8, test_per_client=5),
    DomainSettings(scheme="domain"),
    DomainShardsSettings(scheme="domain_shards", clients_per_domain=2),
    DirichletSettings(scheme="dirichlet", clients=3, alpha=1.0, min_samples=3),
    ClassBlocksSettings(scheme="class_blocks", classes_per_client=1),
]
by_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.scheme)


def lists(partition):
    return [[rows.tolist() for rows in vars(client).values()] for client in partition.clients]


@by_scheme
def test_the_seed_decides(scheme):
    one, again, other = (make_partition(WORLD, scheme, seed) for seed in (1, 1, 2))
    assert lists(one) == lists(again)
    if scheme.scheme not in ("domain", "class_blocks"):
        assert lists(one) != lists(other)


@by_scheme
def test_validation_is_taken_from_training_alone(scheme):
    plain = make_partition(WORLD, scheme, 0)
    split = make_partition(WORLD, scheme.model_copy(update={"valid_fraction": 0.25}), 0)
    for before, after in zip(plain.clients, split.clients, strict=True):
        assert len(before.valid) == 0
        assert len(after.valid) == len(before.train) // 4
        assert sorted([*after.train, *after.valid]) == before.train.tolist()
        assert after.test.tolist() == before.test.tolist()


@given(
    counts=st.lists(st.integers(0, 40), min_size=2, max_size=6).filter(lambda c: sum(c) > 1),
    fraction=st.floats(0.01, 0.9),
)
@settings(deadline=None, max_examples=60)
def test_validation_is_stratified(counts, fraction):
    data = toy(counts, [1] * len(counts), domains=["one"])
    scheme = DomainSettings(scheme="domain", valid_fraction=fraction)
    partition = make_partition(data, scheme, 0)
    valid = np.array(partition.histograms["valid"][0])
    assert np.abs(valid - fraction * np.array(counts)).max() < 1 + 1e-6
    assert sum(valid) == int(sum(counts) * fraction + 1e-9)


def test_validation_leaves_training_images():
    data = toy([1, 0], [1, 1], domains=["one"])
    scheme = DomainSettings(scheme="domain", valid_fraction=0.9999999999)
    with pytest.raises(UserError, match=r"partition.valid_fraction"):
        make_partition(data, scheme, 0)


@pytest.mark.parametrize("valid_fraction", [0.0, 0.25])
@by_scheme
def test_saved_and_loaded(tmp_path, scheme, valid_fraction):
    scheme = scheme.model_copy(update={"valid_fraction": valid_fraction})
    partition = make_partition(WORLD, scheme, 3)
    path = tmp_path / "partition.json"
    partition.save(path)
    loaded = Partition.load(path)
    assert lists(loaded) == lists(partition)
    for client, row in zip(loaded.clients, loaded.histograms["valid"], strict=True):
        assert {rows.dtype for rows in vars(client).values()} == {np.dtype(np.int64)}
        assert bool(len(client.valid)) == bool(valid_fraction)
        assert np.bincount(WORLD.train_labels[client.valid], minlength=3).tolist() == row
    loaded.save(tmp_path / "again.json")
    assert path.read_bytes() == (tmp_path / "again.json").read_bytes()
    assert TypeAdapter(Scheme).validate_python(loaded.settings) == scheme
    assert loaded.seed == 3
    assert "Toy" in loaded.card
    loaded.require(WORLD)


@pytest.mark.parametrize("part", ["train", "test", "valid"])
def test_an_altered_partition_is_refused(tmp_path, part):
    path = tmp_path / "partition.json"
    scheme = SCHEMES[0].model_copy(update={"valid_fraction": 0.25})
    make_partition(WORLD, scheme, 0).save(path)
    content = json.loads(path.read_text())
    content["clients"][1][part][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{path}.*altered"):
        Partition.load(path)
    for text in ("[]", "{}", '{"sha256": 1, "clients": 2}'):
        path.write_text(text)
        with pytest.raises(UserError, match=str(path)):
            Partition.load(path)


ROWS = st.one_of(
    st.none(),
    st.text(max_size=2),
    st.lists(st.one_of(st.integers(), st.floats(), st.booleans(), st.lists(st.integers()))),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    clients=st.one_of(
        ROWS, st.lists(st.dictionaries(st.sampled_from(["train", "test", "valid", "odd"]), ROWS))
    )
)
def test_whatever_lists_a_file_holds_they_are_positions_or_a_user_error(tmp_path, clients):
    path = tmp_path / "partition.json"
    make_partition(WORLD, SCHEMES[0], 0).save(path)
    content = json.loads(path.read_text()) | {"clients": clients}
    digest = hashlib.sha256(json.dumps(clients, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content | {"sha256": digest}))
    try:
        partition = Partition.load(path)
        partition.require(WORLD)
    except UserError as error:
        assert str(path) in str(error) or "client" in str(error)  # noqa: PT017
    else:
        for client in partition.clients:
            assert client.train.size == 0 or client.train.min() >= 0
            WORLD.train_labels[client.train], WORLD.test_labels[client.test]


def test_an_image_that_the_data_lack_is_told_with_its_client():
    partition = make_partition(WORLD, SCHEMES[1], 0)
    beyond = Client(partition.clients[0].train, np.array([len(WORLD.test_labels)]))
    spoiled = replace(partition, clients=(*partition.clients[:1], beyond))
    with pytest.raises(UserError, match=f"client 1 the test image {len(WORLD.test_labels)}"):
        spoiled.require(WORLD)


def test_another_state_of_the_data_is_refused():
    partition = make_partition(WORLD, SCHEMES[1], 0)
    WORLD.card["sha256"] = "1" * 64
    try:
        with pytest.raises(UserError, match="another state"):
            partition.require(WORLD)
    finally:
        WORLD.card["sha256"] = "0" * 64


@pytest.mark.parametrize(
    "values",
    [
        {"scheme": "dirichlet", "clients": 0, "alpha": 0.5},
        {"scheme": "dirichlet", "clients": 5, "alpha": 0.0},
        {"scheme": "dirichlet", "clients": 5, "alpha": float("inf")},
        {"scheme": "dirichlet", "clients": "5", "alpha": 0.5},
        {"scheme": "dirichlet", "clients": 5, "alpha": 0.5, "beta": 1},
        {"scheme": "domain", "valid_fraction": 1.0},
        {"scheme": "domain_shards", "clients_per_domain": 0},
        {"scheme": "class_blocks", "classes_per_client": 0},
        {"scheme": "fedpac", "clients": 5, **FEDPAC["cifar10"], "groups": []},
        {"scheme": "fedpac", "clients": 5, **FEDPAC["cifar10"], "groups": [[]]},
        {"scheme": "fedpac", "clients": 5, **FEDPAC["cifar10"], "uniform_share": 1.2},
        {"scheme": "iid"},
    ],
)
def test_wrong_settings(values):
    with pytest.raises(ValidationError):
        TypeAdapter(Scheme).validate_python(values)


@by_scheme
def test_the_size_hint_is_the_mean(scheme, set_table):
    facts = {"train": [18, 10, 14], "test": [8, 6, 6], "domains": ["north", "south"]}
    set_table({"toy": {"facts": facts}})
    partition = make_partition(WORLD, scheme, 0)
    clients, train, test = scheme.size_hint("toy", None)
    assert clients == len(partition.clients)
    assert train == np.mean([len(client.train) for client in partition.clients]) // 1
    assert test == np.mean([len(client.test) for client in partition.clients]) // 1


def test_the_size_hint_knows_a_slice_and_every_real_set():
    scheme = DirichletSettings(scheme="dirichlet", clients=10, alpha=0.5)
    assert scheme.size_hint("cifar10", 20) == (10, 20, 20)
    for name in source_table():
        assert scheme.size_hint(name, None)[0] == 10
