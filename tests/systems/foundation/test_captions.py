"""Captions, and the tokenizer that is learnt from them."""

from miniature import settings

from fedgenbench.systems.foundation.captions import (
    PROMPTS,
    captions,
    learnt_merges,
    make_tokenizer,
    token_ids,
)

TEXTS = [
    "a photo of a face, pouting face",
    "an image of plant, four leaf clover",
    "a photo of a face",
]
TEXT = settings().text


def test_captions_are_the_papers_prompts_with_and_without_name_and_kind():
    found = captions("plant", "four-leaf-clover", "line")
    assert found[0] == "a photo of a plant"
    assert found[1] == "an image of plant"
    assert found[2] == "a photo of a plant, four leaf clover"
    assert found[4] == "a photo of a plant, line icon"
    assert found[7] == "an image of plant, four leaf clover, line icon"
    assert len(set(found)) == 4 * len(PROMPTS)


def test_a_drawing_without_a_class_is_called_by_its_name():
    found = captions("other", "alarm-clock", "sketch")
    assert found[0] == found[2] == "a photo of a alarm clock"
    assert found[4] == "a photo of a alarm clock, sketch"
    assert len(found) == 8


def test_frequent_words_become_one_token():
    tokenizer = make_tokenizer(TEXTS, TEXT)
    words = [word.removesuffix("</w>") for word in tokenizer.tokenize("a photo of a face")]
    assert words == ["a", "photo", "of", "a", "face"]


def test_merges_by_hand():
    # l-o occurs 7 times; then lo-w</w> 5 times; then lo-w and w-s</w> twice, the last of which wins.
    merges = learnt_merges({"low": 5, "lows": 2}, 10)
    assert merges == [("l", "o"), ("lo", "w</w>"), ("w", "s</w>"), ("lo", "ws</w>")]
    assert learnt_merges({"low": 5, "lows": 2}, 1) == [("l", "o")]


def test_any_text_can_be_written():
    tokenizer = make_tokenizer(TEXTS, TEXT)
    for text in ("zebra", "quiz!", "é ß 漢"):
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.unk_token_id not in ids[1:-1]
        assert tokenizer.decode(ids[1:-1]).replace(" ", "") == text.replace(" ", "")


def test_the_order_of_the_texts_does_not_matter():
    one, other = make_tokenizer(TEXTS, TEXT), make_tokenizer(TEXTS[::-1], TEXT)
    assert one.get_vocab() == other.get_vocab()


def test_the_vocabulary_is_bytes_merges_and_two_special_tokens():
    assert len(make_tokenizer(TEXTS, TEXT)) <= 512 + TEXT.merges + 2


def test_token_ids_are_padded_and_cut():
    tokenizer = make_tokenizer(TEXTS, TEXT)
    ids = token_ids(tokenizer, ["", "a photo of a face", "face " * 50])
    assert ids.shape == (3, TEXT.length)
    end = tokenizer.eos_token_id
    assert ids[0].tolist() == [tokenizer.bos_token_id] + [end] * (TEXT.length - 1)
    assert ids[2, -1] == end
    assert end not in ids[2, :-1]


def test_a_saved_tokenizer_is_the_same(tmp_path):
    from transformers import CLIPTokenizer

    tokenizer = make_tokenizer(TEXTS, TEXT)
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert loaded.model_max_length == TEXT.length
    assert token_ids(loaded, TEXTS).equal(token_ids(tokenizer, TEXTS))
