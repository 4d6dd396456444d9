"""Answers of training domains to the same inputs, against slow and obvious formulas."""

import numpy as np
import pytest
import torch

from metagan.data import library as module
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.form import Form
from metagan.data.library import STRENGTHS, WAYS, Library, told_form
from metagan.data.tasks import Half

LABELS = "abcde"


def clouds_of_styles(lacking: tuple[str, ...] = ()) -> tuple[Dataset, list[int]]:
    """Six domains, two of them of one group, with a vector for every label."""
    rng = np.random.default_rng(4)
    samples = {
        ClassRecord(f"d{d}", label, group="family" if d in (1, 2) else None): rng.normal(
            0, 1, (1, 3)
        ).astype(np.float32)
        for d in range(6)
        for label in LABELS
        if f"d{d}/{label}" not in lacking
    }
    data = Dataset.from_classes(samples, kind="vector")
    return data, list(range(data.num_classes))


def library_of(lacking: tuple[str, ...] = ()) -> tuple[Library, dict[str, dict[str, np.ndarray]]]:
    """The library, and the answers of each domain by label."""
    data, classes = clouds_of_styles(lacking)
    answers: dict[str, dict[str, np.ndarray]] = {}
    for index in classes:
        record = data.classes[index]
        answers.setdefault(record.domain, {})[record.label] = data.class_samples(index)[0]
    return Library(data, classes, torch.tensor), answers


def slow_ridge(answers, shown, labels, asked, strength) -> np.ndarray:
    """The minimum of the objective by its normal equations, with differences in plain sight."""
    domains = list(answers)
    mean = {label: np.mean([answers[d][label] for d in domains], axis=0) for label in LABELS}
    design = np.array(
        [np.concatenate([answers[d][x] - mean[x] for x in labels]) for d in domains], np.float64
    ).T
    wanted = np.concatenate([y - mean[x] for x, y in zip(labels, shown, strict=True)])
    unit = np.mean(np.sum(design**2, axis=0))
    held = design.T @ design + strength * unit * np.eye(len(domains))
    weights = np.linalg.solve(held, design.T @ wanted)
    return np.array(
        [
            mean[x]
            + sum(w * (answers[d][x] - mean[x]) for w, d in zip(weights, domains, strict=True))
            for x in asked
        ]
    )


def test_the_ridge_over_domains_is_the_minimum_of_its_objective() -> None:
    library, answers = library_of()
    shown = np.random.default_rng(0).normal(0, 1, (3, 3)).astype(np.float32)
    labels, asked = ["b", "e", "a"], ["c", "d"]
    found = library.combined(torch.from_numpy(shown), labels, asked, strengths=(0.001, *STRENGTHS))
    for strength, drawn in found.ridge.items():
        expected = slow_ridge(answers, shown, labels, asked, strength)
        np.testing.assert_allclose(drawn.numpy(), expected, rtol=0, atol=1e-6)


def test_the_mean_and_the_nearest_domain() -> None:
    library, answers = library_of()
    shown = torch.from_numpy(answers["d3"]["a"] + np.float32(0.01))[None]
    found = library.combined(shown, ["a"], ["b", "c"], strengths=())
    for place, label in enumerate("bc"):
        mean = np.mean([known[label] for known in answers.values()], axis=0)
        np.testing.assert_allclose(found.mean[place].numpy(), mean, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.nearest[place], answers["d3"][label], rtol=0, atol=1e-6)


def beside(library: Library, shown: torch.Tensor, labels: str, asked: str, without=None):
    """The channels that are told of what is shown and of what is asked."""
    halves = [Half(part[None], part[None]) for part in (shown, torch.randn(len(asked), 3))]
    told = library.beside(*halves, list(labels), list(asked), without=without)
    for before, after in zip(halves, told, strict=True):
        assert torch.equal(after.samples, before.samples)
        assert torch.equal(after.inputs[..., :3], before.inputs)
    return [half.inputs[0, :, 3:] for half in told]


def test_its_own_domain_and_its_family_do_not_count_for_a_task() -> None:
    library, answers = library_of()
    shown = torch.from_numpy(np.stack([answers["d1"][x] for x in "abc"]))
    told = beside(library, shown, "abc", "de", without="d1")
    data, classes = clouds_of_styles()
    others = [i for i in classes if data.classes[i].domain not in ("d1", "d2")]
    alone = Library(data, others, torch.tensor)
    for found, expected in zip(told, beside(alone, shown, "abc", "de"), strict=True):
        assert torch.equal(found, expected)
    # A domain that is alone leaves out itself.
    told = beside(library, shown, "abc", "de", without="d5")
    rest = Library(data, [i for i in classes if data.classes[i].domain != "d5"], torch.tensor)
    assert torch.equal(told[1], beside(rest, shown, "abc", "de")[1])


def test_what_is_told_of_a_sample_is_never_fitted_on_it() -> None:
    library, _ = library_of()
    torch.manual_seed(0)
    shown = torch.randn(4, 3)
    before = beside(library, shown, "abcd", "e")
    for place in range(4):
        changed = shown.clone()
        changed[place] += 5
        after = beside(library, changed, "abcd", "e")
        torch.testing.assert_close(after[0][place], before[0][place], rtol=0, atol=1e-6)
        assert not torch.equal(after[1], before[1])
        others = [i for i in range(4) if i != place]
        assert (after[0][others] - before[0][others]).abs().max() > 1e-3


def test_channels_are_the_mean_the_ridge_at_every_strength_and_the_nearest() -> None:
    library, _ = library_of()
    shown = torch.randn(3, 3)
    found = library.combined(shown, list("abc"), list("de"), strengths=STRENGTHS)
    told = beside(library, shown, "abc", "de")[1]
    parts = [found.mean, *(found.ridge[s] for s in STRENGTHS), found.nearest]
    assert torch.equal(told, torch.cat(parts, dim=1))
    assert told.shape == (2, WAYS * 3)
    form = told_form(Form("vector", (3,), {}, (3,)))
    assert form.given == (3 + WAYS * 3,)


def test_one_sample_alone_is_told_the_mean() -> None:
    library, answers = library_of()
    told = beside(library, torch.randn(1, 3), "a", "b")[0]
    mean = np.mean([known["a"] for known in answers.values()], axis=0)
    np.testing.assert_allclose(told[0], np.tile(mean, WAYS), rtol=0, atol=1e-6)


def test_labels_that_no_domain_has_are_answered_by_the_input_itself() -> None:
    library, _ = library_of()
    shown = torch.randn(3, 3)
    found = library.combined(shown, ["a", "?", "b"], ["c", "!"], strengths=(0.3,))
    for drawn in (found.mean, found.nearest, found.ridge[0.3]):
        assert drawn[0].isfinite().all()
        assert drawn[1].isnan().all()
    told = beside(library, shown, "a?b", "c!")
    assert torch.equal(told[0][1], shown[1].repeat(WAYS))
    assert told[0][[0, 2]].isfinite().all()
    assert told[1].isfinite().all()
    # What cannot be looked up is not fitted on, either.
    less = library.combined(shown[[0, 2]], ["a", "b"], ["c"], strengths=(0.3,))
    torch.testing.assert_close(found.ridge[0.3][:1], less.ridge[0.3])


def test_a_domain_that_lacks_what_is_shown_takes_no_part_but_in_the_mean() -> None:
    library, answers = library_of(lacking=("d0/a", "d4/c"))
    shown = np.random.default_rng(0).normal(0, 1, (2, 3)).astype(np.float32)
    found = library.combined(torch.from_numpy(shown), ["a", "b"], ["c"], strengths=(0.3,))
    mean = np.mean([known["c"] for known in answers.values() if "c" in known], axis=0)
    np.testing.assert_allclose(found.mean[0], mean, rtol=0, atol=1e-6)
    assert found.ridge[0.3].isfinite().all()


def test_a_library_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    with pytest.raises(
        DataError, match=r"6 training domains to 5 labels take .* give smaller samples"
    ):
        library_of()
