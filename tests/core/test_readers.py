"""Reading a support by attention beside the mean."""

import pytest
import torch
from torch import nn

from metagan.config.learning import GanConfig
from metagan.core.layers import attended
from metagan.data.form import Form
from metagan.kinds.image.layers import PictureReader
from metagan.kinds.vector.networks import SetReader

PICTURES = Form("image", (1, 16, 16), {}, (1, 16, 16))
VECTORS = Form("vector", (2,), {}, (3,))


def conditions(
    form: Form, words: tuple[str, ...], *, groups: int = 2, each: int = 3, read: int = 5
):
    torch.manual_seed(1)
    size = groups * each
    found = {"support": torch.randn(groups, read, *form.shape), "reads": torch.ones(size, read)}
    if "input" in words:
        found["input"] = torch.randn(size, *form.given)
        found["support_input"] = torch.randn(groups, read, *form.given)
    if "sample" in words:
        found["sample"] = torch.randn(size, *form.shape)
    return {word: value.double() for word, value in found.items()}


def reader_of(form: Form, words: tuple[str, ...]) -> nn.Module:
    torch.manual_seed(0)
    given = form if "input" in words else Form(form.kind, form.shape)
    config = GanConfig(conditioning=(*words, "support"), reader="attention")
    kind = PictureReader if form.kind == "image" else SetReader
    reader = kind(given, config, 8).double()
    if reader.attention.query is not None:
        nn.init.normal_(reader.attention.query)
    return reader


CASES = [(form, words) for form in (PICTURES, VECTORS) for words in (("input",), ("sample",), ())]


@pytest.mark.parametrize(("form", "words"), CASES)
def test_the_order_of_the_members_does_not_matter(form, words):
    reader, told = reader_of(form, words), conditions(form, words)
    order = torch.randperm(5)
    turned = {
        word: value[:, order] if word.startswith(("support", "reads")) else value
        for word, value in told.items()
    }
    torch.testing.assert_close(reader(turned), reader(told), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("form", "words"), CASES)
def test_what_is_hidden_has_no_influence_at_all(form, words):
    reader, told = reader_of(form, words), conditions(form, words)
    told["reads"][1, 3] = 0
    told["support"].requires_grad_()
    code = reader(told)
    (gradient,) = torch.autograd.grad(code[1].sum(), told["support"])
    assert torch.equal(gradient[0, 3], torch.zeros_like(gradient[0, 3]))
    assert gradient[0, 2].abs().max() > 0
    changed = told["support"].detach().clone()
    changed[0, 3] += 7
    after = reader({**told, "support": changed})
    assert torch.equal(after[1], code[1])
    assert not torch.equal(after[0], code[0])


@pytest.mark.parametrize(("form", "words"), CASES)
def test_where_nothing_may_be_read_the_code_is_zero(form, words):
    reader, told = reader_of(form, words), conditions(form, words, read=1)
    told["reads"][2] = 0
    code = reader(told)
    assert torch.equal(code[2], torch.zeros_like(code[2]))
    assert code.isfinite().all()


@pytest.mark.parametrize(("form", "words"), CASES)
def test_one_member_is_read_whole_twice_over(form, words):
    """By the mean and by attention, whose only weight is 1."""
    reader, told = reader_of(form, words), conditions(form, words, read=1)
    config = GanConfig(conditioning=(*words, "support"))
    kind = PictureReader if form.kind == "image" else SetReader
    mean = kind(form if "input" in words else Form(form.kind, form.shape), config, 8).double()
    mean.load_state_dict({k: v for k, v in reader.state_dict().items() if "attention" not in k})
    torch.testing.assert_close(reader(told), 2 * mean(told), rtol=0, atol=1e-12)


def test_attention_is_the_slow_formula():
    torch.manual_seed(0)
    queries, keys, values = torch.randn(4, 3), torch.randn(2, 5, 3), torch.randn(2, 5, 6)
    reads = (torch.rand(4, 5) > 0.3).float()
    reads[:, 0] = 1
    found = attended(queries, keys, values, {"reads": reads})
    for row in range(4):
        group = row // 2
        weights = [
            float(reads[row, i]) * float(torch.exp(queries[row] @ keys[group, i] / 3**0.5))
            for i in range(5)
        ]
        expected = sum(w * values[group, i] for i, w in enumerate(weights)) / sum(weights)
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-6)


def test_attention_has_second_derivatives_also_under_vmap():
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3), torch.randn(1, 4, 3), torch.randn(1, 4, 2)]
    inputs = [part.double().requires_grad_() for part in inputs]
    reads = torch.ones(2, 4).double()
    reads[0, 1] = 0

    def read(*parts):
        return attended(*parts, {"reads": reads})

    assert torch.autograd.gradgradcheck(read, inputs)
    several = [torch.stack([part.detach(), part.detach() + 1]) for part in inputs]
    found = torch.func.vmap(read)(*several)
    for row in range(2):
        expected = read(*(part[row] for part in several))
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


def test_a_hidden_member_that_is_very_like_hides_no_other():
    keys, values = torch.tensor([[[1e6], [1.0]]]), torch.tensor([[[5.0], [7.0]]])
    found = attended(torch.ones(1, 1), keys, values, {"reads": torch.tensor([[0.0, 1.0]])})
    assert torch.equal(found, torch.tensor([[7.0]]))
