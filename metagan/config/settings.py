"""Every setting of a run: types, bounds, defaults and what they mean. Defaults live only here.

This module imports neither torch nor Ray, so `--help` and configuration errors come at once.
"""

from collections import Counter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from metagan.config.affects import field
from metagan.config.agreement import disagreements
from metagan.config.learning import (
    AlgorithmConfig,
    GanConfig,
    InnerConfig,
    OuterConfig,
    WarmupConfig,
)
from metagan.config.load import Config, ConfigError

SourceName = Literal[
    "auto", "glyphs", "omniglot", "image_folder", "manifest", "parquet", "idx", "npz", "arrow"
]


class DataConfig(Config):
    """Which samples, how they are read, and which are held out."""

    source: SourceName = field(
        "glyphs",
        affects="where",
        description="Layout of the data; auto looks at the path, and is the default with one.",
    )
    path: str | None = field(
        None,
        affects="where",
        min_length=1,
        description="File or folder; glyphs are built in and have none.",
    )
    image_size: int = field(
        28,
        affects="samples networks",
        ge=16,
        le=64,
        description="Pictures are resized to this, pixels.",
    )
    channels: Literal[1, 3] = field(1, affects="samples networks", description="1 grey, 3 colour.")
    invert: bool = field(
        False, affects="samples", description="Swap dark and bright; ink should be bright."
    )
    white: float | None = field(
        None,
        affects="samples",
        gt=0,
        description="Value that is white in pictures of more than 8 bits; default: what their "
        "files say, else by the largest value of the whole data set.",
    )
    allow_leaks: bool = field(
        False,
        affects="where",
        description="Train although some pictures are on both sides of the split.",
    )
    split_by: Literal["published", "domain", "class"] = field(
        "published",
        affects="training measuring",
        description="What is held out: the publisher's own split where there is one (else whole "
        "domains), whole domains, or classes of every domain.",
    )
    validation_fraction: float = field(
        0.15, affects="training measuring", gt=0, lt=1, description="Share of domains or classes."
    )
    test_fraction: float = field(
        0.2, affects="training measuring", gt=0, lt=1, description="Share of domains or classes."
    )
    validation_domains: tuple[str, ...] = field(
        (), affects="training measuring", description="Domains held out by name."
    )
    test_domains: tuple[str, ...] = field(
        (), affects="training measuring", description="Domains held out by name."
    )
    drawings_per_class: int = field(
        20, affects="samples", ge=2, le=200, description="Glyphs only: drawings a class."
    )
    max_classes_per_domain: int | None = field(
        None,
        affects="samples",
        ge=1,
        description="Glyphs only: a seeded choice of this many characters a script.",
    )
    cache_dir: str | None = field(
        None,
        affects="where",
        description="Where prepared shards are kept; default: the user's cache folder.",
    )

    @model_validator(mode="after")
    def _a_path_is_looked_at(self) -> Self:
        """Built-in data have no path, so with one and no source its layout is found out."""
        if self.path is not None and "source" not in self.model_fields_set:
            # Settings are frozen; here they are still being made.
            object.__setattr__(self, "source", "auto")
        return self


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
        3, affects="where", ge=1, description="Newest checkpoints kept; BEST is kept besides."
    )
    storage: str | None = field(
        None,
        affects="where",
        description="URI of a copy of the run (s3://, gs://, file:// ...), written at every "
        "checkpoint; --resume auto goes on from it where the run folder is lost.",
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
        200, affects="measuring", ge=2, description="Classes of the target's classifier."
    )
    test_per_class: int = field(
        10,
        affects="measuring",
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
    generated_per_real: tuple[Annotated[int, Field(ge=1)], ...] = field(
        (20,),
        affects="measuring",
        min_length=1,
        description="Generated samples per real one tried on validation.",
    )
    best_of: int = field(
        1,
        affects="measuring adapting",
        ge=1,
        le=64,
        description="Each generated sample is the best of so many, by the discriminator's score.",
    )
    mix: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = field(
        (0.0, 0.25, 0.5),
        affects="measuring",
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
        affects="measuring",
        ge=0,
        description="On other data, parts of a target's own samples that the choice must gain on, "
        "too, each held out in turn; 0: no such check.",
    )
    classical: Literal["affine", "affine+elastic"] = field(
        "affine+elastic",
        affects="measuring",
        description="The hand-made augmentation that must be beaten.",
    )
    classifier_steps: int = field(
        600, affects="measuring", ge=1, description="Classifier training steps, from scratch."
    )
    source_steps: int = field(
        3000, affects="measuring", ge=1, description="Training steps of the source classifier."
    )
    finetune_steps: int = field(
        300, affects="measuring", ge=1, description="The same for the pre-trained classifier."
    )
    quality_samples: int = field(
        2000, affects="measuring", ge=50, description="Generated samples for FID and KID."
    )
    comparison_seeds: int = field(
        3,
        affects="measuring extent",
        ge=1,
        description="Repetitions that initializations are compared on.",
    )

    @field_validator("shots", "adapt_steps", "generated_per_real", "mix")
    @classmethod
    def _each_once(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        """A value that stands twice would be measured once and counted as two repetitions."""
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
        "auto", affects="where", description="Where workers compute."
    )
    cuda_graphs: bool = field(
        True,
        affects="where",
        description="On a GPU, record a chunk's kernels once and replay them; costs memory.",
    )
    data: DataConfig = DataConfig()
    task: TaskConfig = TaskConfig()
    gan: GanConfig = GanConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    inner: InnerConfig = InnerConfig()
    warmup: WarmupConfig = WarmupConfig()
    outer: OuterConfig = OuterConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        problems = tuple(disagreements(self))
        if problems:
            raise ConfigError(*problems)
        return self
