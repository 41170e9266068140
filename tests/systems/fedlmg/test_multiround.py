"""The baselines of many rounds: FedDF's distillation, its public images, and the field's methods."""

import numpy as np
import pytest
import torch
from PIL import Image
from toy_clients import Killed, quiet

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.settings import SGDSettings
from fedgenbench.models import build
from fedgenbench.systems.fedlmg.feddf import FedDF, feddf
from fedgenbench.systems.fedlmg.public import fingerprint, read_public
from fedgenbench.systems.fedlmg.training import mean_of, probabilities

TRAINING = SGDSettings(epochs=1, batch_size=4, lr=0.05, momentum=0.0, weight_decay=0.0)
STILL = TRAINING.model_copy(update={"lr": 1e-12})


def held(clients=2, count=8):
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(count, 3, 32, 32, generator=generator),
            torch.randint(4, (count,), generator=generator),
        )
        for _ in range(clients)
    ]


def public(count=12):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def played(folder, names=("mlp", "mlp"), server="mlp", rounds=2, tell=quiet, **changes):
    chosen = {"training": TRAINING, "distillation": TRAINING} | changes
    plan = FedDF(
        chosen["training"],
        chosen["distillation"],
        rounds,
        lambda name: build(name, (3, 32, 32), 4, 5),
        names,
        server,
        0,
    )
    return feddf(plan, held(len(names)), public(), checkpoint=Checkpoint(folder, "one"), tell=tell)


def entropy(model, teachers):
    """Cross-entropy of the mean of teachers' outputs and a model's, in NumPy."""
    with torch.no_grad():
        logits = model(public())[0].double().numpy()
    log = logits - logits.max(1, keepdims=True)
    log -= np.log(np.exp(log).sum(1, keepdims=True))
    return -(teachers.double().numpy() * log).sum(1).mean()


def test_without_distillation_it_is_fedavg_of_uniform_weights(tmp_path):
    found = played(tmp_path, rounds=1, distillation=STILL)
    # A client alone is its own mean.
    alone = [played(tmp_path / str(k), ("mlp",), rounds=1, distillation=STILL) for k in (0, 1)]
    first = alone[0].state_dict()
    for name, tensor in found.state_dict().items():
        assert tensor.shape == first[name].shape
    both = mean_of([found, found])
    for name, tensor in found.state_dict().items():
        np.testing.assert_allclose(both[name], tensor, atol=1e-7)


def test_the_server_learns_what_all_clients_say_of_public_images(tmp_path):
    many = TRAINING.model_copy(update={"epochs": 30})
    start = build("mini_vgg", (3, 32, 32), 4, 5).eval()
    clients = [played(tmp_path / str(k), ("mlp",), rounds=1, distillation=STILL) for k in (0,)]
    teachers = probabilities(clients, public()).mean(0)
    # Its own architecture is nobody's: all that it knows comes from public images.
    model = played(tmp_path / "server", ("mlp",), "mini_vgg", rounds=1, distillation=many)
    assert entropy(model, teachers) < entropy(start, teachers) - 0.05
    assert not model.training


def test_a_killed_job_goes_on_to_the_same_bits(tmp_path):
    whole = played(tmp_path / "whole", ("mlp", "mini_vgg"), "mini_vgg")

    def kill(done, note):
        if done == 1:
            raise Killed

    with pytest.raises(Killed):
        played(tmp_path / "broken", ("mlp", "mini_vgg"), "mini_vgg", tell=kill)
    told = []
    again = played(
        tmp_path / "broken", ("mlp", "mini_vgg"), "mini_vgg", tell=lambda done, _: told.append(done)
    )
    assert told == [2]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


# --- public images


@pytest.fixture
def sheet(tmp_path):
    tiles = np.repeat(np.arange(5, dtype=np.uint8) * 50, 8)[:, None, None]
    Image.fromarray(np.ascontiguousarray(np.broadcast_to(tiles, (40, 8, 3)))).save(
        tmp_path / "sheet.png"
    )
    return str(tmp_path / "sheet.png")


def test_squares_below_each_other_are_images(sheet):
    found = read_public(sheet, 4, (8, 8, 3))
    assert found.shape == (4, 8, 8, 3)
    assert found[:, 0, 0, 0].tolist() == [0, 50, 100, 150]
    assert read_public(sheet, 1, (16, 16, 1)).shape == (1, 16, 16, 1)


def test_a_folder_gives_its_pictures_by_name(tmp_path):
    for name, shade in (("b", 20), ("a", 10), ("c/d", 30)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (shade,) * 3).save(path)
    (tmp_path / "notes.txt").write_text("no picture")
    found = read_public(str(tmp_path), 3, (8, 8, 3))
    assert found[:, 0, 0, 0].tolist() == [10, 20, 30]
    before = fingerprint(str(tmp_path))
    (tmp_path / "a.png").rename(tmp_path / "e.png")
    assert fingerprint(str(tmp_path)) != before
    assert fingerprint("not/here") == "not/here"


def test_too_few_public_images_are_refused(sheet):
    with pytest.raises(UserError, match=r"multi_round.public: .* has 5 images, 6 are asked for"):
        read_public(sheet, 6, (8, 8, 3))
    with pytest.raises(UserError, match=r"multi_round.public: nowhere is not here"):
        read_public("nowhere", 6, (8, 8, 3))
