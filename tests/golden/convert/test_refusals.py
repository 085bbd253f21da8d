# SPDX-License-Identifier: Apache-2.0
import json

import pytest
import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.refine import refine
from ecoformer.golden.convert.saved import load_converted, save_converted
from ecoformer.golden.files import torch_bytes
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.placing import filled_sites
from tests.golden.convert.models import CONFIG, QUICK, answer, bert, encoder, gpt, make_text


def test_a_network_without_attention_is_refused():
    with pytest.raises(EcoformerError, match="^Linear: no attention that can be replaced; "):
        find_sites(model := nn.Linear(3, 3), lambda: model(torch.zeros(1, 3)))


def test_masks_other_than_padding_are_refused():
    model, batches = bert()
    square = torch.rand(4, 1, 10, 10) > 0.3
    with pytest.raises(EcoformerError, match="attention.self: a mask that is neither padding nor"):
        convert(model, CONFIG, [batch | {"attention_mask": square} for batch in batches], QUICK)
    converted = convert(model, CONFIG, batches, QUICK)
    with pytest.raises(EcoformerError, match="^BertSelfAttention: a mask that is neither padding"):
        answer(converted, batches[0] | {"attention_mask": square})


def test_what_cannot_be_replaced_is_left_only_if_told(tmp_path):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.pool = bert()[0], nn.Linear(24, 24)

        def forward(self, input_ids, attention_mask):
            x = self.body(input_ids, attention_mask).last_hidden_state
            return torch.softmax(self.pool(x) @ x.mT, -1) @ x

    model, batches = Head().eval(), make_text()
    with pytest.raises(
        EcoformerError,
        match=r"^Head, the model itself: exact softmax computed by hand \(matmul, softmax\), not "
              "by a function that attends; skip '' to convert the rest$",
    ):
        convert(model, CONFIG, batches, QUICK)
    for chosen in ({"skip": [""]}, {"only": ["body"]}, {"only": ["body.*.0.*"]},
                   {"only": ["body"], "skip": ["*.layer.1"]}):
        converted = convert(model, CONFIG, batches, QUICK, **chosen)
        assert len(cores_of(converted)) == 2 - ("0" in str(chosen) or "1" in str(chosen))
        save_converted(converted, tmp_path / "model.pt")
        loaded = load_converted(tmp_path / "model.pt", model)
        assert torch.equal(answer(loaded, batches[0]), answer(converted, batches[0]))
        assert filled_sites(loaded) == filled_sites(converted)
    with pytest.raises(EcoformerError, match="^Head: 'tail' matches no attention; there is body."):
        convert(model, CONFIG, batches, QUICK, skip=["tail"])
    with pytest.raises(EcoformerError, match="^Head: no attention that can be replaced; body"):
        convert(model, CONFIG, batches, QUICK, skip=["*"])


def test_a_converted_network_is_not_converted_again():
    model, batches = bert()
    converted = convert(model, CONFIG, batches, QUICK, skip=["*.1.*"])
    with pytest.raises(EcoformerError, match="^BertModel: converted already; give the original$"):
        convert(converted, CONFIG, batches, QUICK)


def test_attention_that_is_not_understood_is_refused():
    class Tempered(nn.Module):
        def forward(self, x):
            o = nn.functional.scaled_dot_product_attention(x, x, x)
            return o if o.requires_grad else o * self.scale(o)

        def scale(self, o):
            self.calls += 1
            return self.calls  # another answer every time

    model = Tempered()
    model.calls = 0
    with pytest.raises(EcoformerError, match="^Tempered: with softmax in the places that were"):
        convert(model, CONFIG, [torch.randn(4, 10, 24) for _ in range(3)], QUICK)


def test_shapes_that_do_not_go_with_an_attention_are_refused_by_name():
    model, batches = gpt(), make_text()
    sequence = AttentionConfig(anchors=4, queries="separate", bandwidth="per-sequence")
    with pytest.raises(EcoformerError, match="bandwidth = 'per-sequence' sees tokens that a causa"):
        convert(model, sequence, batches, QUICK)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(24, 4, 32, batch_first=True), 1)
    data = [(torch.randn(2, 5, 24), torch.randn(2, 9, 24)) for _ in range(3)]
    own = AttentionConfig(hash="linear", queries="separate", value_term="own")
    with pytest.raises(EcoformerError, match="layers.0.multihead_attn: value_term = 'own' needs"):
        convert(decoder, own, data, QUICK)


def test_shared_queries_are_refused_where_queries_are_not_keys():
    model, batches = bert()
    shared = AttentionConfig(hash="linear")
    with pytest.raises(EcoformerError, match="queries must be the keys with queries = 'shared'$"):
        convert(model, shared, batches, QUICK)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_batches_are_refused_before_any_work(count):
    model, batches = bert()
    with pytest.raises(EcoformerError, match=f"^BertModel: calibration must be .*, not {count}$"):
        convert(model, CONFIG, batches[:count], QUICK)
    converted = convert(model, CONFIG, batches, QUICK)
    with pytest.raises(EcoformerError, match=f"^BertModel: calibration must be .*, not {count}$"):
        refine(converted, batches[:count], QUICK)


def test_useless_calibration_is_refused_by_the_name_of_the_layer():
    model, batches = bert()
    few = AttentionConfig(anchors=128, queries="separate")
    with pytest.raises(
        EcoformerError,
        match="^BertModel, encoder.layer.0.attention.self: calibration must have at least 128",
    ):
        convert(model, few, [{n: x[:2, :5] for n, x in batch.items()} for batch in batches], QUICK)


def test_damaged_files_are_refused(tmp_path):
    model, batches = encoder()
    path = tmp_path / "model.pt"
    with pytest.raises(EcoformerError, match="no such converted model; make one with 'convert'$"):
        load_converted(path, model)
    with pytest.raises(EcoformerError, match="^TransformerEncoder: not converted; nothing to save"):
        save_converted(model, path)
    save_converted(convert(model, CONFIG, batches, QUICK), path)
    content = torch.load(path)
    content["state"]["layers.0.norm1.weight"][0] += 1
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="damaged model file"):
        load_converted(path, model)
    content["config"] = json.dumps({"sites": []})
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="not a converted TransformerEncoder .'attention'."):
        load_converted(path, model)
