"""FGL: which captions go up, and which prompts images are drawn from."""

from collections import Counter

import numpy as np
import pytest
import torch
from miniature import untrained
from tokenizers import Tokenizer, models, pre_tokenizers
from toy_clients import UNGUIDED, Killed, holding, quiet, small_images
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    PreTrainedTokenizerFast,
)

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.errors import UserError
from fedgenbench.core.streams import stream
from fedgenbench.data.dataset import Dataset
from fedgenbench.systems.fedlmg import fgl
from fedgenbench.systems.fedlmg.baseline_settings import FGL

CLASSES = ["face", "plant", "ice_cream"]
NAMES = [
    *("pensive-face", "rose", "soft-ice-cream", "hot-face", "cactus", "café-glacé"),
    *("cold-face", "fern", "sundae", "sad-face", "palm-tree", "cone"),
]
CLIENTS = ([0, 1, 3, 4, 6, 9], [2, 5, 8, 7, 10])
WORDS = ["a", "red", "green", "drawing", "of", "thing", "two", "dark", "light", "old"]


@pytest.fixture(scope="module")
def pipeline():
    return untrained()


@pytest.fixture(autouse=True)
def given(pipeline, monkeypatch):
    """The untrained miniature is the base model."""
    monkeypatch.setattr(fgl, "base_model", lambda base, device: pipeline)


def contest(per_class=3):
    return small_images(batch=6, per_class=per_class, **UNGUIDED)


def own(captioner="names", negative="low quality"):
    prompt = "a {label}, {caption}"
    return FGL(captioner=str(captioner), prompt=prompt, negative=negative)


def dataset(named=True, channels=3):
    colours = stream(0, "toy").integers(0, 256, (12, 1, 1, channels))
    x = np.broadcast_to(colours, (12, 32, 32, channels)).astype(np.uint8)
    y = np.arange(12, dtype=np.int64) % 3
    card = {"name": "toy", "classes": CLASSES, "domains": None, "sha256": ""}
    card |= {"train_names": NAMES} if named else {}
    return Dataset(card=card, train_images=x, train_labels=y, test_images=x, test_labels=y)


def partition():
    """Client 0 has four faces and two plants, client 1 two plants and three of the third class."""
    return holding(*CLIENTS)


def images(folder, settings=None, chosen=None, data=None, tell=quiet, seed=0, identity="one"):
    return fgl.images(
        chosen or contest(),
        settings or own(),
        data or dataset(),
        partition(),
        "cpu",
        seed=seed,
        checkpoint=Checkpoint(folder, identity),
        tell=tell,
    )


@pytest.fixture
def orders(monkeypatch):
    """What ``images`` asks ``draw`` for, the prompt of each in words."""
    seen, known, draw, embed = [], {}, fgl.draw, fgl.embedded

    def embedding(pipeline, prompts):
        found = embed(pipeline, prompts)
        known.update({e.numpy().tobytes(): p for e, p in zip(found, prompts, strict=True)})
        return found

    def drawn(settings, guided, shards, store, tell):
        seen[:] = [
            (order.client, order.label, known[order.embedding.numpy().tobytes()], order.seed)
            for shard in shards
            for order in shard
        ]
        return draw(settings, guided, shards, store, tell)

    monkeypatch.setattr(fgl, "embedded", embedding)
    monkeypatch.setattr(fgl, "draw", drawn)
    return seen


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    """A folder with a random BLIP-2 of a few kilobytes."""
    folder = tmp_path_factory.mktemp("blip2")
    special = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    words = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(special + WORDS)}, unk_token="<unk>")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        **{"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        additional_special_tokens=["<image>"],
    )
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config=size | {"intermediate_size": 16, "image_size": 32, "patch_size": 16},
        qformer_config=size
        | {"intermediate_size": 16, "encoder_hidden_size": 16, "vocab_size": 15},
        text_config=size
        | {"model_type": "opt", "ffn_dim": 16, "vocab_size": 15, "word_embed_proj_dim": 16}
        | {"max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        num_query_tokens=2,
        image_token_index=4,
    )
    model, generator = Blip2ForConditionalGeneration(config), torch.Generator().manual_seed(2)
    for parameter in model.parameters():  # far enough from zero that pictures matter
        parameter.data.normal_(0, 0.7, generator=generator)
    model.save_pretrained(folder)
    picture = BlipImageProcessor(size={"height": 32, "width": 32})
    Blip2Processor(picture, tokenizer, num_query_tokens=2).save_pretrained(folder)
    return folder


# --- captions and prompts


def test_images_are_drawn_from_the_client_s_own_captions(orders, tmp_path):
    found = images(tmp_path)
    assert found.labels.tolist() == [0] * 3 + [1] * 3 + [1] * 3 + [2] * 3
    assert found.style.tolist() == [0] * 6 + [1] * 6
    assert found.images.shape == (12, 32, 32, 3)
    for client, held in enumerate(CLIENTS):
        for label, name in enumerate(["face", "plant", "ice cream"]):
            mine = [NAMES[row].replace("-", " ") for row in held if row % 3 == label]
            allowed = {f"a {name}, {caption}" for caption in mine}
            used = Counter(p for c, k, p, _ in orders if (c, k) == (client, label))
            assert used.keys() <= allowed
            if not mine:
                assert not used
            else:
                # Without replacement, round and round.
                assert len(used) == min(3, len(mine))
                assert max(used.values()) == -(-3 // len(mine))


def test_more_images_go_on_where_fewer_ended(orders, tmp_path):
    images(tmp_path / "a")
    few = list(orders)
    images(tmp_path / "b", chosen=contest(per_class=5))
    more = [order for number, order in enumerate(orders) if number % 5 < 3]
    assert more == few
    assert [order[2] for order in orders[:1]] == [
        orders[4][2]
    ]  # four faces: the fifth is the first
    assert len({order[3] for order in orders}) == len(orders) == 20
    images(tmp_path / "c", seed=1)
    assert [order[2] for order in orders] != [order[2] for order in few]


def test_every_caption_goes_up_in_utf_8(tmp_path):
    report = images(tmp_path).report
    # Two letters of one name have two bytes each.
    expected = [sum(map(len, (NAMES[row] for row in held))) for held in CLIENTS]
    assert report["upload_bytes"] == {0: expected[0], 1: expected[1] + 2}
    assert set(report["client_seconds"]) == {0, 1}
    assert report["notes"] == []


def test_an_image_is_the_pipeline_s_own_under_both_prompts(orders, pipeline, tmp_path):
    found = images(tmp_path, own(negative="red, blurred")).images
    _, _, prompt, seed = orders[7]
    expected = pipeline(
        prompt,
        negative_prompt="red, blurred",
        height=32,
        width=32,
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
    ).images[0]
    assert np.abs(found[7] - expected * 255).max() <= 1
    other = images(tmp_path / "other", own(negative="")).images
    assert (found[7] != other[7]).any()


def test_a_data_set_without_names_needs_a_model(tmp_path):
    with pytest.raises(UserError, match=r"fgl\.captioner: toy has no names of its drawings"):
        images(tmp_path, data=dataset(named=False))
    with pytest.raises(ValueError, match="pattern"):
        FGL(captioner="names", prompt="a {label}", negative="")


# --- a captioning model


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_captions_every_image_by_itself(captioner, orders, tmp_path, monkeypatch, channels):
    monkeypatch.setattr(fgl, "TOKENS", 8)  # the miniature reads no longer prompt
    data = dataset(named=False, channels=channels)
    found = images(tmp_path, own(captioner), data=data)
    processor = Blip2Processor.from_pretrained(captioner)
    model = Blip2ForConditionalGeneration.from_pretrained(captioner).eval()
    expected = []
    for held in CLIENTS:
        texts = []
        for row in held:
            picture = np.repeat(data.train_images[row], 3 // channels, axis=2)
            inputs = processor(images=picture, return_tensors="pt")
            ids = model.generate(**inputs, do_sample=False, max_new_tokens=8)[0].tolist()
            texts.append(" ".join(WORDS[i - 5] for i in ids if i >= 5))
        expected.append(texts)
    assert len({text for texts in expected for text in texts}) >= 3
    bytes_up = [sum(len(text) for text in texts) for texts in expected]
    assert found.report["upload_bytes"] == dict(enumerate(bytes_up))
    for client, label, prompt, _ in orders:
        own_texts = zip(CLIENTS[client], expected[client], strict=True)
        name = CLASSES[label].replace("_", " ")
        assert prompt in {f"a {name}, {t}" for row, t in own_texts if row % 3 == label}


def test_a_captioner_that_is_not_there_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"(?s)captioner: no captioning model .*hf download"):
        images(tmp_path, own(tmp_path / "empty"))


def test_a_killed_job_goes_on_to_the_same_bits(captioner, tmp_path, monkeypatch):
    whole = images(tmp_path / "unbroken", own(captioner))

    def kill(done, note):
        raise Killed

    with pytest.raises(Killed):
        images(tmp_path / "broken", own(captioner), tell=kill)
    (tmp_path / "broken/captions/client-1.safetensors").write_bytes(b"damaged")
    captioned, some = [], fgl._captioned
    monkeypatch.setattr(fgl, "_captioned", lambda *a: captioned.append(len(a[2])) or some(*a))
    again = images(tmp_path / "broken", own(captioner))
    assert captioned == [1, 5]  # client 1 alone, after the image whose operations are counted
    np.testing.assert_array_equal(again.images, whole.images)
    assert again.report["upload_bytes"] == whole.report["upload_bytes"]
    with pytest.raises(UserError, match="belongs to one, not to two"):
        images(tmp_path / "broken", own(captioner), identity="two")
