"""The side of one worker: data, networks and a device; and a runner that is this process."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from metagan.config.algorithms import ALGORITHMS
from metagan.config.settings import RunConfig
from metagan.core.algorithms import check_moves, inner_settings
from metagan.core.arithmetic import arithmetic_sha256
from metagan.core.chunk_gradient import chunk_gradient
from metagan.core.chunks import ChunkKey, ChunkResult
from metagan.core.cuda_graphs import Recorder
from metagan.core.gan import GanPair, build_gan
from metagan.core.outer_loop import RunnerStats, Upcoming, WorkerSpec
from metagan.core.params import GanParams, Layout, Vector
from metagan.core.rates import with_rates
from metagan.data.cache import open_dataset
from metagan.data.dataset import Dataset, Samples
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.data.splits import Splits, splits_from_names
from metagan.data.tasks import DatasetTasks
from metagan.devices import pinned_threads
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed
from metagan.version import versions


class ChunkWorker:
    """One worker's side: data, networks and a device; computes one chunk at a time."""

    def __init__(self, spec: WorkerSpec, *, device: torch.device) -> None:
        """Opens the data and builds the networks.

        Raises:
            DataError: If the data differ from those the run was started on.
            ValueError: If the networks differ from the driver's.
        """
        dataset = open_dataset(spec.config.data)
        fingerprint = dataset.fingerprint()
        if fingerprint != spec.dataset_sha256:
            raise ValueError(
                f"data.path {spec.config.data.path!r} holds other data here (sha256 "
                f"{fingerprint[:12]}) than at the driver ({spec.dataset_sha256[:12]})"
            )
        splits = splits_from_names(spec.splits, dataset)
        self._config, self._device = spec.config, device
        records = device.type == "cuda" and spec.config.cuda_graphs
        self._recorder = Recorder() if records else None
        self._source = open_tasks(dataset, splits, spec.config, spec.form)
        self._gan, self._layout, _ = build_run_gan(spec.config, spec.form)
        self._gan.to(device)
        if self._layout.sha256 != spec.layout_sha256:
            raise ValueError(
                f"the worker's networks differ from the driver's: the worker has {versions()}, the "
                f"driver {spec.made_by}; install one version on all nodes"
            )

    def arithmetic(self) -> str:
        """The rounding of the worker's device; see `metagan.core.arithmetic`."""
        return arithmetic_sha256(self._device)

    def compute(
        self, vector: Vector, chunk: ChunkKey, called_off: Callable[[], bool] = lambda: False
    ) -> ChunkResult:
        """The chunk's meta-gradient sum at these parameters; see `chunk_gradient`."""
        return chunk_gradient(
            self._gan,
            self._layout,
            vector,
            chunk,
            self._source,
            self._config,
            device=self._device,
            recorder=self._recorder,
            called_off=called_off,
        )


class LocalRunner:
    """Computes every chunk in this process."""

    num_workers = 1

    def __init__(self, worker: ChunkWorker, *, threads: int = 1) -> None:
        """`threads` pins torch's threads: results depend on their number in the last bits."""
        self._worker, self._threads = worker, threads
        with pinned_threads(threads):
            self._arithmetic = worker.arithmetic()

    def run(
        self,
        vector: Vector,
        chunks: Sequence[ChunkKey],
        upcoming: Sequence[Upcoming] = (),  # noqa: ARG002
    ) -> tuple[list[ChunkResult], RunnerStats]:
        """See `EpisodeRunner`; nothing is ever idle here."""
        with pinned_threads(self._threads):
            results = [self._worker.compute(vector, chunk) for chunk in chunks]
        compute_s = sum(result.report.compute_s for result in results)
        return results, RunnerStats(compute_s=compute_s, arithmetic=self._arithmetic)

    def take_events(self) -> Sequence[Mapping[str, object]]:
        """See `EpisodeRunner`; nobody is lost here."""
        return ()

    def heed(self, asked_to_stop: Callable[[], bool]) -> None:
        """See `EpisodeRunner`; nobody is waited for here."""


def converter(form: Form) -> Callable[[Samples], Tensor]:
    """Function that converts stored samples of a form to what networks see."""
    to_tensor = find_kind(form.kind).to_tensor
    return lambda samples: to_tensor(samples, form)


def open_tasks(dataset: Dataset, splits: Splits, config: RunConfig, form: Form) -> DatasetTasks:
    """The episodes of a run.

    Raises:
        DataError: If no task has samples for an episode, or samples lack the inputs that are told.
    """
    told = "input" in config.gan.conditioning
    make_inputs = find_kind(form.kind).make_inputs(dataset, form) if told else None
    library = None
    if "library" in config.gan.conditioning:
        library = Library(dataset, splits.train, converter(form))
    return DatasetTasks(dataset, splits, config.task, converter(form), make_inputs, library)


def build_run_gan(config: RunConfig, form: Form) -> tuple[GanPair, Layout, GanParams]:
    """The run's networks, and where all that is learned starts, with its layout.

    Raises:
        ValueError: If the inner loop is to move weights that the networks do not have.
    """
    gan, params = build_gan(
        find_kind(form.kind).players,
        config.gan,
        form,
        seed=derive_seed(config.seed, "networks"),
        second_order=ALGORITHMS[config.algorithm.name].second_order,
    )
    check_moves(config.inner, params)
    params = with_rates(params, inner_settings(config))
    return gan, Layout.of(params), params
