"""Write a run's averaged initialization for programs that do not have metagan."""

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from metagan.runs.checkpoint import named_tensors
from metagan.runs.run_folder import RunError
from metagan.workflow.setup import LoadedRun

SUFFIXES = {"safetensors": ".safetensors", "torch-export": ".pt2", "onnx": ".onnx"}


def export_safetensors(run: LoadedRun) -> bytes:
    """Both players' weights, named; the settings that shape the networks are in the metadata."""
    metadata = {
        "gan": json.dumps(run.config.gan.model_dump(mode="json")),
        "form": _form_text(run),
        "step": str(run.step),
    }
    return save(named_tensors(run.init), metadata=metadata)


def export_torch(run: LoadedRun) -> bytes:
    """The generator as a `torch.export` program with a dynamic batch.

    It takes a tensor for each word of `gan.conditioning`, in order, then z.

    Its extra file `form.json` says how samples become what the generator takes.
    """
    it = _exportable(run)
    program = torch.export.export(it.generator, it.inputs, dynamic_shapes=it.shapes)
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={"form.json": _form_text(run)})
    return stream.getvalue()


def export_onnx(run: LoadedRun) -> bytes:
    """The generator as an ONNX graph with a dynamic batch; its metadata `form` is as above.

    Raises:
        RunError: If the extra `onnx` is not installed.
    """
    it = _exportable(run)
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        # Notes about torchvision and deprecations inside torch: nothing that a user could act on.
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                it.generator,
                it.inputs,
                input_names=it.names,
                dynamo=True,
                dynamic_shapes=it.shapes,
                verbose=False,
            )
    except ImportError as error:
        raise RunError(
            f"--format onnx needs the extra packages ({error}); pip install 'metagan[onnx]'"
        ) from None
    finally:
        log.setLevel(level)
    if program is None:
        raise RunError("--format onnx: torch returned no program")
    program.model.metadata_props["form"] = _form_text(run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.onnx"
        program.save(str(path))
        return path.read_bytes()


EXPORTERS: dict[str, Callable[[LoadedRun], bytes]] = {
    "safetensors": export_safetensors,
    "torch-export": export_torch,
    "onnx": export_onnx,
}


def _form_text(run: LoadedRun) -> str:
    """The form of the run's samples, without which nobody can convert theirs."""
    return json.dumps(run.form.as_json())


class _Flat(nn.Module):
    """A generator that takes what it is told one tensor after the other, z last."""

    def __init__(self, generator: nn.Module, words: Sequence[str]) -> None:
        super().__init__()
        self.generator, self.words = generator, words

    def forward(self, *inputs: Tensor) -> Tensor:
        """Samples (B, *sample_shape)."""
        *told, z = inputs
        condition = dict(zip(self.words, told, strict=True))
        if "support" in condition:
            condition["reads"] = z.new_ones((z.shape[0], condition["support"].shape[1]))
        drawn: Tensor = self.generator(condition, z)
        return drawn


@dataclass(frozen=True)
class _Exportable:
    """A generator, examples of its inputs, which sizes of them may vary, and their names."""

    generator: nn.Module
    inputs: tuple[Tensor, ...]
    shapes: tuple[tuple[dict[int, torch.export.Dim], ...]]
    names: list[str]


def _exportable(run: LoadedRun) -> _Exportable:
    run.gan.generator.load_state_dict(run.init.generator)
    form, config = run.form, run.config
    shots, told = config.task.shots + 1, config.gan.conditioning
    sizes: dict[str, tuple[int, ...]] = {}
    for word in told:
        sizes[word] = {
            "label": (2, 1),
            "sample": (2, *form.shape),
            "input": (2, *form.given),
            "support": (1, shots, *form.shape),
        }[word]
    if "support" in told and form.given:
        sizes["support_input"] = (1, shots, *form.given)
    batch, read = (torch.export.Dim(name, min=1, max=65536) for name in ("batch", "read"))
    shapes = tuple({1: read} if word.startswith("support") else {0: batch} for word in sizes)
    inputs = tuple(torch.zeros(size) for size in sizes.values())
    latents = torch.zeros(2, config.gan.latent_dim)
    generator = _Flat(run.gan.generator, list(sizes)).eval()
    return _Exportable(generator, (*inputs, latents), ((*shapes, {0: batch}),), [*sizes, "z"])
