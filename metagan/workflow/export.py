"""Write a run's averaged initialization for programs that do not have metagan."""

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
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

    Its extra file `form.json` says how samples become what the generator takes.
    """
    generator, inputs, shapes = _exportable(run)
    program = torch.export.export(generator, inputs, dynamic_shapes=shapes)
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={"form.json": _form_text(run)})
    return stream.getvalue()


def export_onnx(run: LoadedRun) -> bytes:
    """The generator as an ONNX graph with a dynamic batch; its metadata `form` is as above.

    Raises:
        RunError: If the extra `onnx` is not installed.
    """
    generator, inputs, shapes = _exportable(run)
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        # Notes about torchvision and deprecations inside torch: nothing that a user could act on.
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                generator, inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
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


def _exportable(
    run: LoadedRun,
) -> tuple[nn.Module, tuple[Tensor, Tensor], tuple[dict[int, torch.export.Dim], ...]]:
    generator = run.gan.generator
    generator.load_state_dict(run.init.generator)
    generator.eval()
    shape = {"sample": list(run.form.shape), "label": [1], "none": [0]}[run.config.gan.conditioning]
    condition = torch.zeros(2, *shape)
    batch = torch.export.Dim("batch", min=1, max=65536)
    inputs = (condition, torch.zeros(2, run.config.gan.latent_dim))
    return generator, inputs, ({0: batch}, {0: batch})
