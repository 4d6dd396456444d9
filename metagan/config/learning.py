"""Settings of how an initialization is learned: players, rule, inner and outer loop.

Like `metagan.config.settings`, this module imports neither torch nor Ray.
"""

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from metagan.config.affects import field
from metagan.config.load import Config

AlgorithmName = Literal[
    "reptile", "fomaml", "maml", "anil", "meta_sgd", "imaml", "ridge", "joint", "average"
]


ConditioningWord = Literal["label", "sample", "input", "support", "library"]


GeneratorFamily = Literal["flow", "dcgan", "residual", "unet", "mlp"]


WireDtype = Literal["float32", "bfloat16"]


RateKind = Literal["none", "tensor", "tensor_and_step", "weight"]


AdversarialLossName = Literal[
    "relativistic",
    "relativistic_average",
    "hinge",
    "nonsaturating",
    "minimax",
    "least_squares",
    "wgan_gp",
]


ReconstructionName = Literal["none", "l1", "l1_l2", "mse"]


class GanConfig(Config):
    """The two players and their losses."""

    conditioning: tuple[ConditioningWord, ...] = field(
        ("sample",),
        affects="networks",
        description="What both players are told; a word or a list. none: G(z); label: G(y, z), y a "
        "class's number within its domain; sample: G(x, z) draws another sample of x's class; "
        "input: G(a, z) draws the sample whose input is a; support: a code of the whole support; "
        "library: what the training domains answer to the same input, combined on the support.",
    )
    reader: Literal["mean", "attention"] = field(
        "mean",
        affects="networks",
        description="support: read by the mean of its members' codes; attention: beside it each "
        "sample reads the members whose inputs are like its own.",
    )
    num_labels: int = field(
        5,
        affects="networks",
        ge=2,
        le=1000,
        description="label: number of labels; larger domains go in parts.",
    )
    family: GeneratorFamily = field(
        "flow", affects="networks", description="Generator network; vectors: mlp."
    )
    width: int = field(
        16,
        affects="networks",
        ge=4,
        le=256,
        multiple_of=4,
        description="Channels of the generator's first stage.",
    )
    discriminator_width: int = field(
        16, affects="networks", ge=4, le=256, multiple_of=4, description="The same, discriminator."
    )
    latent_dim: int = field(16, affects="networks", ge=1, le=512, description="Length of z.")
    loss: AdversarialLossName = field(
        "relativistic",
        affects="training adapting",
        description="Adversarial loss; relativistic is the pairing form.",
    )
    adversarial_weight: float = field(
        1.0,
        affects="networks",
        ge=0,
        description="Weight of the adversarial loss; 0: there is no discriminator. With "
        "conditioning on an input 0 if not set.",
    )
    r1: float = field(
        1.0,
        affects="live adapting",
        ge=0,
        description="Weight of the R1 penalty (gradient at real); wgan_gp: 0 if not set.",
    )
    r2: float = field(
        1.0, affects="live adapting", ge=0, description="The same for R2 (gradient at generated)."
    )
    gradient_penalty: float = field(
        10.0,
        affects="live adapting",
        ge=0,
        description="wgan_gp: weight of its penalty (gradient between the two).",
    )
    penalty_every: int = field(
        8,
        affects="training adapting",
        ge=1,
        description="Penalties are applied at every such step, times this number.",
    )
    spectral_norm: bool = field(
        False,
        affects="networks",
        description="Divide each of D's weight matrices by its largest singular value.",
    )
    mode_seeking: float = field(
        0.03,
        affects="live adapting",
        ge=0,
        description="Weight of the mode-seeking term; with conditioning on an input 0 if not set.",
    )
    reconstruction: ReconstructionName = field(
        "none",
        affects="training adapting",
        description="Distance of what G draws at z = 0 from the known answer: the sample whose "
        "input is told, else the sample that is told. With conditioning on an input l1_l2 if not "
        "set.",
    )
    reconstruction_weight: float = field(
        1.0, affects="live adapting", ge=0, description="Weight of that distance."
    )
    augment: tuple[Literal["translation", "cutout", "color", "noise"], ...] = field(
        ("translation",),
        affects="training adapting",
        description="Differentiable augmentation inside the discriminator; vectors: noise, "
        "none if not set.",
    )
    max_displacement: float = field(
        0.35,
        affects="networks",
        gt=0,
        le=1,
        description="Flow family: largest displacement, share of half the width.",
    )

    @field_validator(
        "conditioning",
        mode="before",
        json_schema_input_type=Literal["none"] | ConditioningWord | tuple[ConditioningWord, ...],
    )
    @classmethod
    def _one_word_or_several(cls, given: Any) -> Any:
        """A word alone is a list of one; "none" is the empty list."""
        if isinstance(given, str):
            return () if given == "none" else (given,)
        # What a file holds is a list, which nothing but JSON itself may turn into a tuple.
        return tuple(given) if isinstance(given, list) else given

    @property
    def has_adversary(self) -> bool:
        """True if there is a discriminator."""
        return self.adversarial_weight > 0

    @property
    def has_one_answer(self) -> bool:
        """True if no latent but zero is drawn in training, so that others have no meaning."""
        return not self.has_adversary and self.mode_seeking == 0

    @property
    def conditioning_text(self) -> str:
        """The words of `conditioning`, as messages show them."""
        return " + ".join(self.conditioning) or "none"

    @model_validator(mode="after")
    def _one_penalty(self) -> Self:
        """WGAN-GP brings its own penalty; others are added only where somebody asked for them."""
        if self.loss == "wgan_gp":
            for name in {"r1", "r2"} - self.model_fields_set:
                # Settings are frozen; here they are still being made.
                object.__setattr__(self, name, 0.0)
        return self

    @model_validator(mode="after")
    def _answers_are_known(self) -> Self:
        """A sample whose input is told is a known answer, so that G can learn it without D."""
        if "input" in self.conditioning:
            usual = {"adversarial_weight": 0.0, "mode_seeking": 0.0, "reconstruction": "l1_l2"}
            for name in usual.keys() - self.model_fields_set:
                object.__setattr__(self, name, usual[name])
        return self


class AlgorithmConfig(Config):
    """The meta-learning rule."""

    name: AlgorithmName = field(
        "reptile", affects="networks", description="Row of the table of algorithms."
    )
    generator_critic: Literal["query", "support"] = field(
        "query",
        affects="training",
        description="Which adapted discriminator scores the generator's query loss.",
    )
    multi_step: int = field(
        0,
        affects="training",
        ge=0,
        description="Outer steps after the warm-up over which the query loss narrows from all "
        "inner steps to the last one (maml and its kin, fomaml).",
    )
    second_order_from: int = field(
        0,
        affects="training",
        ge=0,
        description="Outer steps after the warm-up that maml and its kin spend as first order.",
    )
    cg_steps: int = field(
        5,
        affects="training",
        ge=1,
        description="imaml: conjugate-gradient steps of each player's implicit gradient.",
    )


class InnerConfig(Config):
    """The inner loop: adaptation of one episode."""

    steps: int = field(
        5, affects="training", ge=1, description="Inner steps: D updates, then G updates."
    )
    lr: float = field(3e-4, affects="live adapting", gt=0, description="Inner learning rate.")
    discriminator_lr_scale: float = field(
        1.0, affects="live adapting", ge=0, description="D's inner lr over G's."
    )
    optimizer: Literal["sgd", "adam"] = field(
        "adam", affects="training adapting", description="adam has beta1 = 0."
    )
    batch_size: int = field(
        10, affects="training", ge=1, description="Samples (or pairs) in an inner update."
    )
    discriminator_steps: int = field(
        1, affects="training adapting", ge=1, description="D updates in an inner step."
    )
    generator_steps: int = field(
        1, affects="training adapting", ge=1, description="G updates in an inner step, after D's."
    )
    proximal: float | None = field(
        None,
        affects="live adapting",
        ge=0,
        description="Adds this times half the squared distance from the initialization to both "
        "inner losses; left out: 0, with imaml 2.",
    )
    generator_moves: str = field(
        "all",
        affects="training adapting",
        min_length=1,
        description="Weights that the inner loop moves: all, none, body, head, or a pattern of "
        "names such as body.up*; several by comma.",
    )
    discriminator_moves: str = field(
        "all",
        affects="training adapting",
        min_length=1,
        description="The same for D; none freezes it, body.down3*,head all but its last layers.",
    )
    solve: bool = field(
        False,
        affects="networks",
        description="Solve the generator's head in closed form on the support's pairs, after the "
        "inner steps (maml and its kin; ridge always does).",
    )
    learn_rates: RateKind = field(
        "none",
        affects="networks",
        description="Learn inner rates with the initialization (maml and its kin): one for each "
        "of these.",
    )

    @property
    def batches_per_step(self) -> int:
        """Batches that an inner step takes: D's last update and G's first share one."""
        return self.discriminator_steps + self.generator_steps - 1


class WarmupConfig(Config):
    """Joint pre-training before the algorithm takes over, in the same run."""

    steps: int = field(0, affects="training", ge=0, description="Outer steps of it; 0: none.")
    lr: float = field(
        4e-4, affects="live", gt=0, description="Outer learning rate meanwhile (Adam)."
    )
    pairs_per_episode: int = field(
        2, affects="training", ge=1, description="Samples (or pairs) per episode."
    )
    episodes: int = field(
        16, affects="training", ge=1, description="Episodes in an outer step meanwhile."
    )


class OuterConfig(Config):
    """The outer loop: updates of the shared initialization."""

    steps: int = field(
        1000, affects="extent", ge=1, description="Outer steps in all, warm-up included."
    )
    meta_batch_size: int = field(
        8, affects="training", ge=1, description="Episodes per outer step."
    )
    episodes_per_chunk: int = field(
        4, affects="training", ge=1, description="Episodes a worker runs at once."
    )
    lr: float = field(1e-4, affects="live", gt=0, description="Outer learning rate.")
    optimizer: Literal["sgd", "nesterov", "adam"] = field(
        "adam", affects="training", description="Outer optimizer."
    )
    beta1: float = field(0.0, affects="live", ge=0, lt=1, description="adam: first-moment decay.")
    beta2: float = field(0.99, affects="live", gt=0, lt=1, description="adam: second-moment decay.")
    momentum: float = field(0.9, affects="live", ge=0, lt=1, description="nesterov: momentum.")
    anneal: Literal["none", "linear"] = field(
        "none", affects="training", description="Outer lr over the steps."
    )
    ema: float = field(
        0.999, affects="live", ge=0, lt=1, description="Decay of the averaged initialization."
    )
    max_norm: float | None = field(
        None, affects="live", gt=0, description="Clip each player's meta-gradient."
    )
    max_episode_norm: float | None = field(
        None,
        affects="training",
        gt=0,
        description="Leave out an episode whose meta-gradient is longer than this (L2 norm over "
        "all learned values), as if it were not finite.",
    )
    rollbacks: int = field(
        0,
        affects="training",
        ge=0,
        le=100,
        description="How often a diverging run returns to its last regular checkpoint and "
        "continues with a lower outer.lr; 0: it ends.",
    )
    rollback_lr: float = field(
        0.5,
        affects="training",
        gt=0,
        lt=1,
        description="Outer learning rate after a rollback, over the one before.",
    )
    staleness: int = field(
        0,
        affects="training",
        ge=0,
        le=64,
        description="Outer steps by which a meta-gradient's initialization is older than the one "
        "it is applied to, so that no worker waits for the slowest chunk; 0: none.",
    )
    wire_dtype: WireDtype = field(
        "float32",
        affects="training",
        description="How workers send meta-gradients: bfloat16 halves the transfer and rounds to "
        "8 significant bits; sums are float32.",
    )
    init_from: str | None = field(
        None,
        affects="training",
        description="Run folder whose averaged initialization this run starts from.",
    )
