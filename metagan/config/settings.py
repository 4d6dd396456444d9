"""Every setting of a run: types, bounds, defaults and what they mean. Defaults live only here.

This module imports neither torch nor Ray, so `--help` and configuration errors come at once.
"""

from collections import Counter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from metagan.config.agreement import disagreements
from metagan.config.load import Config, ConfigError

AlgorithmName = Literal[
    "reptile", "fomaml", "maml", "anil", "meta_sgd", "imaml", "joint", "average"
]
SourceName = Literal[
    "auto", "glyphs", "omniglot", "image_folder", "manifest", "parquet", "idx", "npz", "arrow"
]
GeneratorFamily = Literal["flow", "dcgan", "residual"]
WireDtype = Literal["float32", "bfloat16"]
RateKind = Literal["none", "tensor", "tensor_and_step", "weight"]
AdversarialLossName = Literal[
    "relativistic", "relativistic_average", "hinge", "nonsaturating", "least_squares", "wgan_gp"
]


class DataConfig(Config):
    """Which samples, how they are read, and which are held out."""

    source: SourceName = Field(
        "glyphs",
        description="Layout of the data; auto looks at the path, and is the default with one.",
    )
    path: str | None = Field(
        None, min_length=1, description="File or folder; glyphs are built in and have none."
    )
    image_size: int = Field(28, ge=16, le=64, description="Pictures are resized to this, pixels.")
    channels: Literal[1, 3] = Field(1, description="1 grey, 3 colour.")
    invert: bool = Field(False, description="Swap dark and bright; ink should be bright.")
    white: float | None = Field(
        None,
        gt=0,
        description="Value that is white in pictures of more than 8 bits; default: what their "
        "files say, else by the largest value of the whole data set.",
    )
    allow_leaks: bool = Field(
        False, description="Train although some pictures are on both sides of the split."
    )
    split_by: Literal["published", "domain", "class"] = Field(
        "published",
        description="What is held out: the publisher's own split where there is one (else whole "
        "domains), whole domains, or classes of every domain.",
    )
    validation_fraction: float = Field(0.15, gt=0, lt=1, description="Share of domains or classes.")
    test_fraction: float = Field(0.2, gt=0, lt=1, description="Share of domains or classes.")
    validation_domains: tuple[str, ...] = Field((), description="Domains held out by name.")
    test_domains: tuple[str, ...] = Field((), description="Domains held out by name.")
    drawings_per_class: int = Field(20, ge=2, le=200, description="Glyphs only: drawings a class.")
    max_classes_per_domain: int | None = Field(
        None, ge=1, description="Glyphs only: a seeded choice of this many characters a script."
    )
    cache_dir: str | None = Field(
        None, description="Where prepared shards are kept; default: the user's cache folder."
    )

    @model_validator(mode="after")
    def _a_path_is_looked_at(self) -> Self:
        """Built-in data have no path, so with one and no source its layout is found out."""
        if self.path is not None and "source" not in self.model_fields_set:
            # Settings are frozen; here they are still being made.
            object.__setattr__(self, "source", "auto")
        return self


class TaskConfig(Config):
    """What one inner loop adapts to, and on how much."""

    unit: Literal["class", "domain"] = Field("class", description="A task is a class or a domain.")
    ways: int = Field(5, ge=1, description="Classes in an episode when task.unit is domain.")
    shots: int = Field(5, ge=1, description="Support samples per class.")
    num_query: int = Field(5, ge=1, description="Query samples per class, disjoint from support.")


class GanConfig(Config):
    """The two players and their losses."""

    conditioning: Literal["none", "label", "sample"] = Field(
        "sample",
        description="none: G(z); label: G(y, z), y a class's number within its domain; sample: "
        "G(x, z) draws another sample of x's class.",
    )
    num_labels: int = Field(
        5, ge=2, le=1000, description="label: classes told apart; larger domains go in parts."
    )
    family: GeneratorFamily = Field("flow", description="Generator network.")
    width: int = Field(
        16, ge=4, le=256, multiple_of=4, description="Channels of the generator's first stage."
    )
    discriminator_width: int = Field(
        16, ge=4, le=256, multiple_of=4, description="The same, discriminator."
    )
    latent_dim: int = Field(16, ge=1, le=512, description="Length of z.")
    loss: AdversarialLossName = Field(
        "relativistic", description="Adversarial loss; relativistic is the pairing form."
    )
    r1: float = Field(
        1.0, ge=0, description="Weight of the R1 penalty (gradient at real); wgan_gp: 0 if not set."
    )
    r2: float = Field(1.0, ge=0, description="The same for R2 (gradient at generated).")
    gradient_penalty: float = Field(
        10.0, ge=0, description="wgan_gp: weight of its penalty (gradient between the two)."
    )
    penalty_every: int = Field(
        8, ge=1, description="Penalties are applied at every such step, times this number."
    )
    spectral_norm: bool = Field(
        False, description="Divide each of D's weight matrices by its largest singular value."
    )
    mode_seeking: float = Field(0.03, ge=0, description="Weight of the mode-seeking term.")
    reconstruction: float = Field(
        0.0, ge=0, description="sample: weight of the mean distance of G(x, 0) from x."
    )
    augment: tuple[Literal["translation", "cutout", "color"], ...] = Field(
        ("translation",), description="Differentiable augmentation inside the discriminator."
    )
    max_displacement: float = Field(
        0.35, gt=0, le=1, description="Flow family: largest displacement, share of half the width."
    )

    @model_validator(mode="after")
    def _one_penalty(self) -> Self:
        """WGAN-GP brings its own penalty; others are added only where somebody asked for them."""
        if self.loss == "wgan_gp":
            for name in {"r1", "r2"} - self.model_fields_set:
                # Settings are frozen; here they are still being made.
                object.__setattr__(self, name, 0.0)
        return self


class AlgorithmConfig(Config):
    """The meta-learning rule."""

    name: AlgorithmName = Field("reptile", description="Row of the table of algorithms.")
    generator_critic: Literal["query", "support"] = Field(
        "query", description="Which adapted discriminator scores the generator's query loss."
    )
    multi_step: int = Field(
        0,
        ge=0,
        description="Outer steps after the warm-up over which the query loss narrows from all "
        "inner steps to the last one (maml and its kin, fomaml).",
    )
    second_order_from: int = Field(
        0,
        ge=0,
        description="Outer steps after the warm-up that maml and its kin spend as first order.",
    )
    cg_steps: int = Field(
        5, ge=1, description="imaml: conjugate-gradient steps of each player's implicit gradient."
    )


class InnerConfig(Config):
    """The inner loop: adaptation of one episode."""

    steps: int = Field(5, ge=1, description="Inner steps: D updates, then G updates.")
    lr: float = Field(3e-4, gt=0, description="Inner learning rate.")
    discriminator_lr_scale: float = Field(1.0, ge=0, description="D's inner lr over G's.")
    optimizer: Literal["sgd", "adam"] = Field("adam", description="adam has beta1 = 0.")
    batch_size: int = Field(10, ge=1, description="Samples (or pairs) in an inner update.")
    discriminator_steps: int = Field(1, ge=1, description="D updates in an inner step.")
    generator_steps: int = Field(1, ge=1, description="G updates in an inner step, after D's.")
    proximal: float | None = Field(
        None,
        ge=0,
        description="Adds this times half the squared distance from the initialization to both "
        "inner losses; left out: 0, with imaml 2.",
    )
    generator_moves: str = Field(
        "all",
        min_length=1,
        description="Weights that the inner loop moves: all, none, body, head, or a pattern of "
        "names such as body.up*; several by comma.",
    )
    discriminator_moves: str = Field(
        "all",
        min_length=1,
        description="The same for D; none freezes it, body.down3*,head all but its last layers.",
    )
    learn_rates: RateKind = Field(
        "none",
        description="Learn inner rates with the initialization (maml and its kin): one for each "
        "of these.",
    )

    @property
    def batches_per_step(self) -> int:
        """Batches that an inner step takes: D's last update and G's first share one."""
        return self.discriminator_steps + self.generator_steps - 1


class WarmupConfig(Config):
    """Joint pre-training before the algorithm takes over, in the same run."""

    steps: int = Field(0, ge=0, description="Outer steps of it; 0: none.")
    lr: float = Field(4e-4, gt=0, description="Outer learning rate meanwhile (Adam).")
    pairs_per_episode: int = Field(2, ge=1, description="Samples (or pairs) per episode.")
    episodes: int = Field(16, ge=1, description="Episodes in an outer step meanwhile.")


class OuterConfig(Config):
    """The outer loop: updates of the shared initialization."""

    steps: int = Field(1000, ge=1, description="Outer steps in all, warm-up included.")
    meta_batch_size: int = Field(8, ge=1, description="Episodes per outer step.")
    episodes_per_chunk: int = Field(4, ge=1, description="Episodes a worker runs at once.")
    lr: float = Field(1e-4, gt=0, description="Outer learning rate.")
    optimizer: Literal["sgd", "nesterov", "adam"] = Field("adam", description="Outer optimizer.")
    beta1: float = Field(0.0, ge=0, lt=1, description="adam: first-moment decay.")
    beta2: float = Field(0.99, gt=0, lt=1, description="adam: second-moment decay.")
    momentum: float = Field(0.9, ge=0, lt=1, description="nesterov: momentum.")
    anneal: Literal["none", "linear"] = Field("none", description="Outer lr over the steps.")
    ema: float = Field(0.999, ge=0, lt=1, description="Decay of the averaged initialization.")
    max_norm: float | None = Field(None, gt=0, description="Clip each player's meta-gradient.")
    max_episode_norm: float | None = Field(
        None,
        gt=0,
        description="Leave out an episode whose meta-gradient is longer than this (L2, all that is "
        "learned), as one that is not finite.",
    )
    rollbacks: int = Field(
        0,
        ge=0,
        le=100,
        description="Times that a run which diverges goes back to its last regular checkpoint and "
        "on with a lower outer.lr; 0: it ends.",
    )
    rollback_lr: float = Field(
        0.5, gt=0, lt=1, description="Outer learning rate after a rollback, over the one before."
    )
    staleness: int = Field(
        0,
        ge=0,
        le=64,
        description="Outer steps that a meta-gradient's initialization lies behind the one it is "
        "applied to, so that nobody waits for the slowest chunk; 0: none.",
    )
    wire_dtype: WireDtype = Field(
        "float32",
        description="How workers send meta-gradients: bfloat16 halves the transfer and rounds to "
        "8 significant bits; sums are float32.",
    )
    init_from: str | None = Field(
        None, description="Run folder whose averaged initialization this run starts from."
    )


class CheckpointConfig(Config):
    """What is kept, and how often."""

    every_steps: int = Field(200, ge=1, description="Outer steps between checkpoints.")
    keep: int = Field(3, ge=1, description="Newest checkpoints kept; BEST is kept besides.")
    storage: str | None = Field(
        None,
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

    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (5,), min_length=1, description="Real samples per class."
    )
    seeds: int = Field(5, ge=2, description="Paired repetitions; intervals are over these.")
    max_classes: int = Field(200, ge=2, description="Classes of the target's classifier.")
    test_per_class: int = Field(
        10,
        ge=1,
        description="Test samples per class, never trained on; on validation at most what is left "
        "beside the support.",
    )
    adapt_steps: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 10), min_length=1, description="Numbers of inner steps tried on validation tasks."
    )
    generated_per_real: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (20,), min_length=1, description="Generated samples per real one tried on validation."
    )
    best_of: int = Field(
        1,
        ge=1,
        le=64,
        description="Each generated sample is the best of so many, by the discriminator's score.",
    )
    mix: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (0.0, 0.25, 0.5),
        min_length=1,
        description="Generated shares of each batch tried on validation; 0 is always a candidate.",
    )
    validation_seeds: int = Field(
        3,
        ge=2,
        description="Repetitions of each choice on validation; one has no error to judge by.",
    )
    own_folds: int = Field(
        3,
        ge=0,
        description="On other data, parts of a target's own samples that the choice must gain on, "
        "too, each held out in turn; 0: no such check.",
    )
    classical: Literal["affine", "affine+elastic"] = Field(
        "affine+elastic", description="The hand-made augmentation that must be beaten."
    )
    classifier_steps: int = Field(600, ge=1, description="Classifier training steps, from scratch.")
    source_steps: int = Field(3000, ge=1, description="Training steps of the source classifier.")
    finetune_steps: int = Field(300, ge=1, description="The same for the pre-trained classifier.")
    quality_samples: int = Field(2000, ge=50, description="Generated samples for FID and KID.")
    comparison_seeds: int = Field(
        3, ge=1, description="Repetitions that initializations are compared on."
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

    seed: int = Field(0, ge=0, description="Every random draw descends from it.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where workers compute.")
    cuda_graphs: bool = Field(
        True, description="On a GPU, record a chunk's kernels once and replay them; costs memory."
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
