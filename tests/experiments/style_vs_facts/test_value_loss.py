"""The loss of training is cross-entropy; what values, form and names cost adds up to it, and each is where it should be."""

import jax
import numpy as np
import pytest

from experiments.style_vs_facts.material import material, said
from experiments.style_vs_facts.value_loss import FORM, VALUE, scored_bytes, value_loss
from research.cells.pretraining import example_batch
from research.cells.runs import SELECTION_SEEDS
from research.data.batches import batch
from research.data.facts import rows
from research.data.vocabulary import BYTES
from research.losses import cross_entropy
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder

TEXTS = (b"bado is in Rome.", b"<call zumi for Ouzo!>")
VALUES, FORMS, NAMES = (b"Rome.", b"Ouzo!>"), (b" is in ", b" zumi for "), (b"bado", b"<call")


def test_values_stand_behind_the_last_space_and_the_form_from_the_first_one_to_it() -> None:
    own = rows(TEXTS, 32)
    values, form = (scored_bytes(own, BYTES.mark, quantity).astype(bool) for quantity in (VALUE, FORM))
    assert [bytes(row[place]) for row, place in zip(own[:, 1:], values, strict=True)] == list(VALUES)
    assert [bytes(row[place]) for row, place in zip(own[:, 1:], form, strict=True)] == list(FORMS)


def test_values_form_and_names_add_up_to_the_loss() -> None:
    model = decoder(DecoderConfig(d_model=8, d_mlp=8, n_layers=1, n_heads=1, n_kv_heads=1, max_length=32))
    variables = jax.jit(model.init)(jax.random.key(0), example_batch())
    own = rows(TEXTS, 32)
    (loss, metrics), (expected, each) = jax.jit(lambda v: [loss(model, v, batch(own, BYTES)) for loss in (value_loss, cross_entropy)])(
        variables
    )
    assert float(loss) == pytest.approx(float(expected))
    for quantity in (VALUE, FORM):
        assert np.asarray(metrics[quantity]) == pytest.approx(np.asarray(each["nll"]) * scored_bytes(own, BYTES.mark, quantity))
    assert float(metrics[VALUE].sum()) > 0 and float(metrics[FORM].sum()) > 0
    names = np.array([[place < len(name) for place in range(own.shape[1] - 1)] for name in NAMES])
    rest = metrics[VALUE] + metrics[FORM] + each["nll"] * names
    assert np.asarray(rest) == pytest.approx(np.asarray(each["nll"]))


def test_no_name_is_in_the_form_by_which_rates_of_a_style_are_chosen() -> None:
    own = material(SELECTION_SEEDS, 1)
    asked = [sentence.text for sentence in said(own.asked, own.order[-1:], "capitals")]
    found = rows(asked, 32)
    form = scored_bytes(found, BYTES.mark, FORM).astype(bool)
    told = [bytes(row[place]) for row, place in zip(found[:, 1:], form, strict=True)]
    assert set(told) == {b" STAYS IN ", b" SERVES AS ", b" IS ON ", b" SLEEPS BY "}
