"""The settings of a run, put together from sections; a default is written here and nowhere else.

`learning.py` has those of the networks and the algorithm, `data.py` and the modules of the kinds
those of data. None of them imports torch or Ray, so `--help` and configuration errors come at once.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from metagan.config.affects import field
from metagan.config.agreement import disagreements
from metagan.config.image import ImageData
from metagan.config.kinds import DEFAULT_KIND, KIND_WORDS
from metagan.config.learning import (
    AlgorithmConfig,
    GanConfig,
    InnerConfig,
    OuterConfig,
    WarmupConfig,
)
from metagan.config.load import Config, ConfigError
from metagan.config.tree import KIND
from metagan.config.vector import VectorData


def _kind_of(data: Any) -> str:
    """The kind whose settings these are; where none is named, or none that there is, the default.

    The default's own settings then refuse a kind that there is not, as they do any wrong value.
    """
    given = data.get(KIND) if isinstance(data, Mapping) else getattr(data, KIND, None)
    return given if isinstance(given, str) and given in KIND_WORDS else DEFAULT_KIND


AnyData = Annotated[
    Annotated[ImageData, Tag("image")] | Annotated[VectorData, Tag("vector")],
    Discriminator(_kind_of),
]
"""The settings of one kind of data, which `data.kind` names."""


class TaskConfig(Config):
    """The tasks that inner loops adapt to, and how many samples they see."""

    unit: Literal["class", "domain"] = field(
        "class", affects="training adapting", description="A task is a class or a domain."
    )
    ways: int = field(
        5, affects="training", ge=1, description="Classes in an episode when task.unit is domain."
    )
    shots: int = field(5, affects="training", ge=1, description="Support samples per class.")
    num_query: int = field(
        5, affects="training", ge=1, description="Query samples per class, disjoint from support."
    )


class CheckpointConfig(Config):
    """Checkpoints: how often they are written, and how many are kept."""

    every_steps: int = field(
        200, affects="where", ge=1, description="Outer steps between checkpoints."
    )
    keep: int = field(
        3, affects="where", ge=1, description="Newest checkpoints to keep, in addition to BEST."
    )
    storage: str | None = field(
        None,
        affects="where",
        description="URI of a copy of the run (s3://, gs://, file:// ...), written at every "
        "checkpoint; --resume auto continues from it if the run folder is lost.",
    )

    @field_validator("storage")
    @classmethod
    def _absolute_and_without_secrets(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if not parts.scheme or not (parts.netloc or parts.path):
            raise ValueError(
                f"is {value!r}; expected a URI such as s3://BUCKET/RUN, gs://BUCKET/RUN or "
                "file:///shared/RUN"
            )
        if parts.username or parts.password:
            raise ValueError(
                "holds credentials, which would end up in the run's files; give them by the "
                "environment (such as AWS_ACCESS_KEY_ID) or the machine's role"
            )
        return value


class EvaluateConfig(Config):
    """Adaptation to unseen domains, and what the generated samples are worth there."""

    shots: tuple[Annotated[int, Field(ge=1)], ...] = field(
        (5,), affects="measuring extent", min_length=1, description="Real samples per class."
    )
    seeds: int = field(
        5,
        affects="measuring extent",
        ge=2,
        description="Paired repetitions; intervals are over these.",
    )
    max_classes: int = field(
        200,
        affects="measuring classifiers",
        ge=2,
        description="Classes of the target's classifier.",
    )
    test_per_class: int = field(
        10,
        affects="measuring classifiers",
        ge=1,
        description="Test samples per class, never trained on; on validation at most what is left "
        "beside the support.",
    )
    adapt_steps: tuple[Annotated[int, Field(ge=0)], ...] = field(
        (0, 10),
        affects="measuring extent",
        min_length=1,
        description="Numbers of inner steps tried on validation tasks.",
    )
    adapt_lr: tuple[Annotated[float, Field(gt=0)], ...] = field(
        (),
        affects="measuring extent",
        description="Inner learning rates tried on validation tasks, of pairs; none: inner.lr.",
    )
    generated_per_real: tuple[Annotated[int, Field(ge=1)], ...] = field(
        (20,),
        affects="measuring classifiers",
        min_length=1,
        description="Generated samples per real one tried on validation.",
    )
    best_of: int = field(
        1,
        affects="measuring adapting classifiers",
        ge=1,
        le=64,
        description="Keep the best of this many generated samples, by the discriminator's score.",
    )
    classify: bool = field(
        False,
        affects="measuring",
        description="Of pairs with labels: also train a reader of a domain's labels with the "
        "answers, for finetune_steps; slow.",
    )
    mix: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = field(
        (0.0, 0.25, 0.5),
        affects="measuring classifiers",
        min_length=1,
        description="Generated shares of each batch tried on validation; 0 is always a candidate.",
    )
    validation_seeds: int = field(
        3,
        affects="measuring extent",
        ge=2,
        description="Repetitions of each choice on validation; one has no error to judge by.",
    )
    own_folds: int = field(
        3,
        affects="measuring classifiers",
        ge=0,
        description="On other data, the choice must also gain on the target's own samples, in so "
        "many parts, each held out in turn; 0: no such check.",
    )
    classical: Literal["affine", "affine+elastic", "jitter"] = field(
        "affine+elastic",
        affects="measuring classifiers",
        description="The hand-made augmentation that must be beaten; vectors: jitter.",
    )
    classifier_steps: int = field(
        600,
        affects="measuring classifiers",
        ge=1,
        description="Classifier training steps, from scratch.",
    )
    source_steps: int = field(
        3000, affects="measuring", ge=1, description="Training steps of the source classifier."
    )
    finetune_steps: int = field(
        300,
        affects="measuring",
        ge=1,
        description="The same for the pre-trained classifier.",
    )
    quality_samples: int = field(
        2000,
        affects="measuring classifiers",
        ge=50,
        description="Generated samples for FID and KID.",
    )
    comparison_seeds: int = field(
        3,
        affects="measuring extent classifiers",
        ge=1,
        description="Repetitions that initializations are compared on.",
    )

    @field_validator("shots", "adapt_steps", "adapt_lr", "generated_per_real", "mix")
    @classmethod
    def _each_once(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        """A repeated value would be measured once and counted as two repetitions."""
        repeated = [value for value, times in Counter(values).items() if times > 1]
        if repeated:
            raise ValueError(f"holds {repeated[0]} more than once; give each once")
        return values


class RunConfig(Config):
    """A complete run."""

    seed: int = field(
        0, affects="training adapting", ge=0, description="Every random draw descends from it."
    )
    device: Literal["auto", "cpu", "cuda"] = field(
        "auto", affects="where", description="Device of the workers."
    )
    cuda_graphs: bool = field(
        True,
        affects="where",
        description="On a GPU, record a chunk's kernels once and replay them; costs memory.",
    )
    data: AnyData = ImageData()
    task: TaskConfig = TaskConfig()
    gan: GanConfig = GanConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    inner: InnerConfig = InnerConfig()
    warmup: WarmupConfig = WarmupConfig()
    outer: OuterConfig = OuterConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _defaults_fit_the_kind(self) -> Self:
        """Fill settings that nobody set with the defaults of the kind of data."""
        if self.data.kind == DEFAULT_KIND:
            return self
        for name, defaults in KIND_WORDS[self.data.kind].defaults().items():
            section = getattr(self, name)
            unset = {key: defaults[key] for key in defaults.keys() - section.model_fields_set}
            # A copy, since a default section is shared. Settings are frozen; here they are still
            # being made.
            object.__setattr__(self, name, section.model_copy(update=unset))
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        problems = tuple(disagreements(self))
        if problems:
            raise ConfigError(*problems)
        return self
