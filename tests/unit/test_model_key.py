"""The key of a model: what it is, and not where it lies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

from tiny_models import bert
from transformers import BertForSequenceClassification

from autocompress.trial import model_key_of


def test_a_model_has_one_key_wherever_it_lies_and_whatever_version_wrote_it(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    cast(Any, bert()).save_pretrained(here)
    shutil.copytree(here, there)
    config = there / "config.json"
    config.write_text(config.read_text().replace('"transformers_version": "', '"transformers_version": "4.'))
    one, other = (BertForSequenceClassification.from_pretrained(folder) for folder in (here, there))
    assert model_key_of(one) == model_key_of(other)


def test_other_values_or_another_configuration_are_another_model() -> None:
    model, other = bert(), bert()
    assert model_key_of(model) == model_key_of(other)
    cast(Any, other).config.layer_norm_eps = 1e-3
    assert model_key_of(model) != model_key_of(other)
    other = bert()
    next(other.parameters()).data[0] += 1
    assert model_key_of(model) != model_key_of(other)
