"""The networks: their shape, and a model folder that is whole or refused."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from starwise import model
from starwise.model import ModelError
from starwise.text import Encoder


@pytest.fixture(scope="module")
def compact():
    torch.manual_seed(0)
    return model.build("compact").eval()


@pytest.fixture
def folder(tmp_path, compact):
    model.save(tmp_path / "run", compact, {"name": "run"})
    return tmp_path / "run"


def test_the_article_network_has_the_articles_layers_and_parameters():
    network = model.build("article")
    convolutions = [m for m in network.convolutions if isinstance(m, torch.nn.Conv1d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions] == [
        (70, 256, 7),
        (256, 256, 7),
        (256, 256, 3),
        (256, 256, 3),
        (256, 256, 3),
        (256, 256, 3),
    ]
    dense = [m for m in network.dense if isinstance(m, torch.nn.Linear)]
    assert [(d.in_features, d.out_features) for d in dense] == [
        (8704, 1024),
        (1024, 1024),
        (1024, 3),
    ]
    assert model.parameter_count(network) == 11_338_755
    # The article counts 69 symbols, without the newline: one row less of the first convolution.
    assert model.parameter_count(network) - 256 * 7 == 11_336_963
    assert network.config.max_length == 1014


def test_the_article_network_shrinks_a_text_as_the_published_table_says():
    network = model.build("article")
    signal, lengths = torch.zeros(1, 70, 1014), []
    with torch.inference_mode():
        for layer in network.convolutions:
            signal = layer(signal)
            if not isinstance(layer, torch.nn.ReLU):
                lengths.append(signal.shape[2])
    # Kernels 7, 7, 3, 3, 3, 3, with a pooling of 3 after the first, second and sixth.
    assert lengths == [1008, 336, 330, 110, 108, 106, 104, 102, 34]
    assert signal.shape == (1, 256, 34)


def test_our_network_is_small():
    assert model.parameter_count(model.build("compact")) <= 2_000_000


def test_padding_does_not_change_what_our_network_says(compact):
    encoder = Encoder()
    with torch.inference_mode():
        alone = compact(torch.from_numpy(encoder.batch(["It was fine."])))
        beside = compact(torch.from_numpy(encoder.batch(["It was fine.", "x" * 500])))[:1]
    torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5)


def test_the_fused_network_gives_the_same_numbers_in_fewer_steps():
    torch.manual_seed(0)
    network, encoder = model.build("compact"), Encoder()
    with torch.inference_mode():
        for text in ("It was fine, the second time.", "Never again! " * 9):
            # In training, so that the normalisations come to hold something.
            network.train()(torch.from_numpy(encoder.batch([text, text[::-1]])))
        for block in network.blocks:  # which begin as nothing
            block.second_norm.weight.fill_(0.7)
        fused = network.eval().fused()
        # Alone, which has a way of its own, and two that differ in length.
        for texts in (["G"], ["ok"], ["Fine"], ["So so, " * 90], ["Good.", "So so, " * 9]):
            ids = torch.from_numpy(encoder.batch(texts))
            torch.testing.assert_close(fused(ids), network(ids), rtol=1e-4, atol=1e-5)
        padded = torch.from_numpy(encoder.batch(["Good.", "So so, " * 9]))[:1]
        torch.testing.assert_close(fused(padded), network(padded), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in fused.modules())


def test_an_ngram_has_the_same_bucket_wherever_it_stands():
    ids = torch.tensor([[5, 6, 7, 1, 5, 6, 7]])
    rows = model.hash_ngrams(ids, (2, 3), 1024)
    assert rows.shape == (1, 7, 2)
    assert (rows[0, 2] == rows[0, 6]).all()
    assert rows[0, 2, 1] != rows[0, 3, 1]
    # Each length has a table of its own.
    assert ((rows[..., 0] >= 0) & (rows[..., 0] < 1024)).all()
    assert ((rows[..., 1] >= 1024) & (rows[..., 1] < 2048)).all()


def test_a_saved_network_answers_as_before(folder, compact):
    loaded, card = model.load(folder)
    ids = torch.from_numpy(Encoder().batch(["Great shop!"]))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids), compact(ids))
    assert card["name"] == "run"


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(ModelError, match=r"'huge'.*compact, article"):
        model.build("huge")


def _flip_a_bit(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _change_card(**changes):
    def change(folder):
        path = folder / "model.json"
        card = json.loads(path.read_text())
        card["config"].update(changes.pop("config", {}))
        card.update(changes)
        path.write_text(json.dumps(card))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.safetensors").write_bytes(
            (folder / "model.safetensors").read_bytes()[:-100]
        ),
        lambda folder: (folder / "model.json").write_text("{"),
        lambda folder: (folder / "model.json").write_text("[]"),
        _flip_a_bit,
        _change_card(format=99),
        _change_card(config={"alphabet": "article"}),
        _change_card(config={"alphabet": "klingon"}),
        _change_card(config={"channels": 64}),
        _change_card(config={"preset": "article"}),
        _change_card(config={"surprise": 1}),
    ],
)
def test_a_damaged_model_is_refused_in_one_sentence(folder, damage):
    damage(folder)
    with pytest.raises(ModelError) as refused:
        model.load(folder)
    assert str(folder) in str(refused.value)
    assert "Traceback" not in str(refused.value)


class _Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_malicious_pickle_in_place_of_weights_is_never_opened(folder, tmp_path):
    canary = tmp_path / "canary"
    torch.save({"weights": _Canary(canary)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="damaged"):
        model.load(folder)
    # Even with a description that vouches for it.
    data = (folder / "model.safetensors").read_bytes()
    _change_card(sha256=hashlib.sha256(data).hexdigest())(folder)
    with pytest.raises(ModelError, match="does not describe its own weights"):
        model.load(folder)
    assert not canary.exists()


def test_weights_of_another_shape_are_refused(folder):
    save_file({"other": torch.zeros(3)}, folder / "model.safetensors")
    data = (folder / "model.safetensors").read_bytes()
    _change_card(sha256=hashlib.sha256(data).hexdigest())(folder)
    with pytest.raises(ModelError, match="does not describe its own weights"):
        model.load(folder)


def test_packed_weights_take_a_third_of_the_room_and_say_nearly_the_same(folder, tmp_path, compact):
    model.save(tmp_path / "packed", compact, {}, packed=True)
    whole = (folder / "model.safetensors").stat().st_size
    assert (tmp_path / "packed" / "model.safetensors").stat().st_size < 0.36 * whole
    ids = torch.from_numpy(Encoder().batch(["Great shop, I will come back!", "Never again."]))
    with torch.inference_mode():
        unpacked = model.load(tmp_path / "packed")[0](ids)
        torch.testing.assert_close(unpacked, compact(ids), rtol=0.05, atol=1e-3)


def test_no_model_at_all_says_which_notebook_to_run(tmp_path):
    with pytest.raises(ModelError, match="03_train"):
        model.newest(tmp_path)
