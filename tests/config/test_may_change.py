"""Settings that change about a trained run are read again where it is used, or refused."""

import pytest

from cluster.config import JobConfig
from metagan.config.load import ConfigError, list_settings, load_config
from metagan.config.may_change import USES, check_changes, read_again

VECTORS = ["data.kind=vector", "data.path=x"]
# A valid value besides the default, where the other settings have to fit it as well.
TOGETHER = {
    "task.unit": ["task.unit=domain"],
    "gan.conditioning": ["gan.conditioning=none", "gan.family=dcgan"],
    "gan.family": ["gan.family=residual"],
    "gan.reader": ["gan.reader=attention", "gan.conditioning=[sample, support]", "gan.family=unet"],
    "gan.loss": ["gan.loss=hinge"],
    "gan.augment": ["gan.augment=[color]"],
    "algorithm.name": ["algorithm.name=fomaml"],
    "algorithm.generator_critic": ["algorithm.generator_critic=support"],
    "algorithm.multi_step": ["algorithm.multi_step=3", "algorithm.name=maml"],
    "algorithm.second_order_from": ["algorithm.second_order_from=3", "algorithm.name=maml"],
    "inner.optimizer": ["inner.optimizer=sgd"],
    "inner.proximal": ["inner.proximal=1"],
    "inner.learn_rates": ["inner.learn_rates=tensor", "algorithm.name=maml"],
    "inner.generator_moves": ["inner.generator_moves=head"],
    "inner.discriminator_moves": ["inner.discriminator_moves=head"],
    "data.kind": VECTORS,
    "data.source": ["data.source=npz", "data.path=x"],
    "data.path": ["data.path=x"],
    "data.channels": ["data.channels=3"],
    "data.image_size": ["data.image_size=32"],
    "data.split_by": ["data.split_by=class"],
    "data.input": ["data.input=small", "gan.conditioning=[input]"],
    "data.styles": ["data.source=styles", "data.styles=7"],
    "warmup.steps": ["warmup.steps=7"],
    "gan.reconstruction": ["gan.reconstruction=l1"],
    "inner.solve": [
        *("inner.solve=true", "algorithm.name=maml", "gan.conditioning=input"),
        "gan.family=unet",
    ],
    "outer.optimizer": ["outer.optimizer=sgd"],
    "outer.anneal": ["outer.anneal=linear"],
    "outer.wire_dtype": ["outer.wire_dtype=bfloat16"],
    "evaluate.classical": ["evaluate.classical=affine"],
    "evaluate.mix": ["evaluate.mix=[0.1]"],
    "evaluate.adapt_lr": [
        *("evaluate.adapt_lr=[0.1]", "gan.conditioning=[input]", "gan.family=unet"),
    ],
    "evaluate.classify": [
        *("evaluate.classify=true", "gan.conditioning=[input]", "gan.family=unet"),
    ],
    "checkpoint.storage": ["checkpoint.storage=s3://bucket/run"],
    "device": ["device=cpu"],
}
CHANGED = [s for s in list_settings(JobConfig) if not s.key.startswith("cluster.")]


def overrides(setting):
    """The setting with another value than its default."""
    if setting.key in TOGETHER:
        return TOGETHER[setting.key]
    if setting.type == "true or false":
        value = "false" if setting.default == "true" else "true"
    elif "a list" in setting.type:
        value = "[1]" if "number" in setting.type else "[a]"
    elif "text" in setting.type:
        value = "other"
    elif "whole number" in setting.type:
        step = 4 if "multiple" in setting.bounds else 1
        value = 2 if setting.default == "null" else int(setting.default) + step
    else:
        value = 0.5 if setting.default == "null" else float(setting.default) * 0.5
        value = value or 0.25
    return [f"{setting.key}={value}"]


@pytest.mark.parametrize("use", ["adapt", "evaluate"])
@pytest.mark.parametrize("setting", CHANGED, ids=lambda setting: setting.key)
def test_every_setting_is_read_again_or_refused_by_its_name(setting, use):
    kind = VECTORS if setting.only == "data.kind vector" else []
    trained = load_config(JobConfig, None, kind).config
    asked = load_config(JobConfig, None, [*kind, *overrides(setting)]).config
    read = read_again(JobConfig, use)
    if setting.key in read:
        also = {text.partition("=")[0] for text in overrides(setting)} - {setting.key}
        if also <= read:
            check_changes(trained, asked, run="r", where="here", use=use)
        return
    with pytest.raises(ConfigError) as caught:
        check_changes(trained, asked, run="r", where="here", use=use)
    assert any(
        problem.startswith(f"here: {setting.key}: r was trained with")
        and ("train another run for" in problem or "leave it out" in problem)
        for problem in caught.value.problems
    )


@pytest.mark.parametrize(
    ("of_the_run", "asked"),
    [
        ({"gan": {"conditioning": "label", "family": "dcgan"}, "task": {"unit": "domain"}}, None),
        ({}, {"gan": {"spectral_norm": True}}),
        ({"algorithm": {"name": "maml"}}, {"algorithm": {"name": "meta_sgd"}}),
        (
            {"algorithm": {"name": "maml"}, "inner": {"learn_rates": "tensor_and_step"}},
            {"inner": {"steps": 9}},
        ),
        ({"algorithm": {"name": "meta_sgd"}}, {"inner": {"generator_moves": "head"}}),
    ],
)
def test_what_weights_and_rates_were_learned_with_stays(of_the_run, asked):
    asked = {"gan": {"num_labels": 50}} if asked is None else asked
    trained = JobConfig.model_validate(of_the_run)
    sections = {**of_the_run}
    for name, values in asked.items():
        sections[name] = {**sections.get(name, {}), **values}
    [section] = asked
    [key] = asked[section]
    for use in USES:
        with pytest.raises(ConfigError, match=rf"{section}\.{key}: r was .*weights cannot leave"):
            check_changes(
                trained, JobConfig.model_validate(sections), run="r", where="here", use=use
            )


def test_other_data_by_a_setting_are_refused_where_the_data_are_read():
    asked = load_config(JobConfig, None, ["data.invert=true"]).config
    with pytest.raises(ConfigError, match="which its data cannot leave"):
        check_changes(JobConfig(), asked, run="r", where="here", use="evaluate")
    for use in ("adapt", "evaluate --data"):
        check_changes(JobConfig(), asked, run="r", where="here", use=use)


@pytest.mark.parametrize(
    ("setting", "use"),
    [("mix=[0.1]", "evaluate"), ("max_classes=3", "evaluate --data"), ("best_of=4", "adapt")],
)
def test_what_is_about_classifiers_is_not_read_where_samples_answer_inputs(setting, use):
    told = ["gan.conditioning=[input]", "gan.family=unet"]
    trained = load_config(JobConfig, None, told).config
    asked = load_config(JobConfig, None, [*told, f"evaluate.{setting}"]).config
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"evaluate\.{key}: .*does not read it"):
        check_changes(trained, asked, run="r", where="here", use=use)
    asked = load_config(JobConfig, None, [f"evaluate.{setting}"]).config
    check_changes(JobConfig(), asked, run="r", where="here", use=use)


def test_all_refused_settings_are_told_at_once_with_what_takes_their_place():
    asked = load_config(JobConfig, None, ["task.shots=9", "inner.batch_size=3", "gan.width=32"])
    with pytest.raises(ConfigError) as caught:
        check_changes(JobConfig(), asked.config, run="r", where="here", use="evaluate")
    shots, width, batch, *_ = caught.value.problems
    assert "trained with 5, and metagan evaluate does not read it, so 9 would change" in shots
    assert "evaluate.shots" in shots
    assert "batches of adaptation have a fixed size" in batch
    assert "trained with 16, which its weights cannot leave; train another run for 32" in width
