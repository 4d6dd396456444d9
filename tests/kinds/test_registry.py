"""The table of kinds: each is found by its name, and imported only then."""

import subprocess
import sys

import numpy as np
import pytest

from metagan.config.learning import GanConfig
from metagan.data.form import Form
from metagan.kinds.registry import KINDS, find_kind

VECTOR: dict[str, list[object]] = {"columns": ["a", "b"], "center": [8.0, 0.0], "scale": [4.0, 0.5]}
EXAMPLES = {
    "image": (Form("image", (1, 16, 16)), np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)),
    "vector": (Form("vector", (2,), VECTOR), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_players_and_takes_its_samples_there_and_back(name: str) -> None:
    kind = find_kind(name)
    form, stored = EXAMPLES[name]
    seen = kind.to_tensor(stored, form)
    assert seen.shape[1:] == form.shape
    assert np.array_equal(kind.to_samples(seen, form), stored)
    assert np.array_equal(kind.within(seen), seen)
    kind.check_support(seen[None], form)
    assert np.array_equal(kind.check_classes({"new": stored}, form)["new"], stored)
    small = GanConfig(width=4, discriminator_width=4)
    made = kind.players(small, form, seed=0, second_order=False)
    assert made.augment.num_draws > 0
    assert made.is_light


@pytest.mark.parametrize("name", KINDS)
def test_every_fact_that_conversion_goes_by_is_named(name: str) -> None:
    kind = find_kind(name)
    form, stored = EXAMPLES[name]
    needed = {fact: form.facts[fact] for fact in kind.conversion_facts}
    alone = kind.to_tensor(stored, Form(name, form.shape, needed))
    assert alone.equal(kind.to_tensor(stored, form))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_model_and_draws_its_samples(name: str) -> None:
    kind = find_kind(name)
    form, stored = EXAMPLES[name]
    model = kind.model(3, form)
    seen = kind.to_tensor(stored, form)
    assert model(seen).shape == (len(stored), 3)
    assert model.features(seen).shape == (len(stored), model.num_features)
    assert kind.look([[stored, stored]], form).startswith(b"\x89PNG")
    for use in ("adapt", "generate", "export"):
        assert isinstance(kind.remark(form, use), str)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'picture'; kinds are image"):
        find_kind("picture")


def test_the_table_imports_no_kind() -> None:
    code = "import sys, metagan.kinds.registry; print('metagan.kinds.image' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
