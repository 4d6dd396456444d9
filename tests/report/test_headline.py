import pytest

from metagan.report.headline import (
    at_reference,
    comparisons,
    headline,
    reference_shots,
    sentence,
    tally,
)
from tests.report.run_files import evaluation


def test_a_gain_names_shots_both_accuracies_and_the_interval():
    text = headline(evaluation(gain=0.048, half=0.0164)).replace("\u00a0", " ")
    assert text == (
        "At 5 shots generated samples raise the from-scratch classifier from 61.2 % to 66.0 % "
        "(+4.8 points, 95 % interval +3.2 to +6.4) over classical augmentation."
    )


def test_an_interval_that_includes_zero_is_not_called_a_gain():
    text = headline(evaluation(gain=0.01, half=0.03))
    assert "no measurable gain or loss" in text
    assert "\u22122.0 to +4.0" in text
    assert "raise" not in text


def test_an_interval_that_touches_zero_is_not_called_a_gain():
    assert at_reference(evaluation(gain=0.02, half=0.02))[0].verdict == "none"


def test_a_loss_is_called_harm():
    text = headline(evaluation(gain=-0.05, half=0.01))
    assert "lower" in text
    assert "harm" in text
    assert "\u22125.0 points" in text


def test_a_closed_gate_is_told_as_no_gain_and_not_as_zero_points():
    text = headline(evaluation(closed=True))
    assert "the do-no-harm gate left them out" in text
    assert "stays at 61.2\u00a0%" in text
    assert "points" not in text


def test_without_an_evaluation_nothing_is_claimed():
    assert headline(None).startswith("Not evaluated yet")


@pytest.mark.parametrize("section", [None, {}, {"5": {}}, {"5": None}, [1], "text", {"x": {}}])
def test_an_evaluation_without_accuracies_claims_nothing(section):
    data = {"downstream": section, "evaluate": {"shots": [5]}, "choices": 3}
    assert headline(data) == (
        "The evaluation holds no accuracies of a from-scratch classifier to report."
    )
    assert tally(data) == ""


def test_a_difference_without_interval_is_not_evidence():
    data = evaluation()
    data["downstream"]["5"]["both_minus_classical"] = {"mean": 0.3, "low": None, "high": None}
    assert "without an interval this is not evidence" in headline(data)


def test_the_headline_is_about_the_middle_shots_even_if_others_gain_more():
    data = evaluation(gain=0.01, half=0.03, shots=(2, 5, 10))
    data["downstream"]["10"]["both_minus_classical"] = {"mean": 0.2, "low": 0.1, "high": 0.3}
    assert reference_shots(data) == 5
    assert "At 5\u00a0shots there is no measurable gain" in headline(data)


def test_without_the_classical_arm_the_headline_is_over_the_real_samples():
    data = evaluation()
    del data["downstream"]["5"]["both_minus_classical"]
    assert headline(data).endswith("over the real samples alone.")


def test_the_tally_counts_every_comparison_once():
    data = evaluation(gain=0.048, half=0.01)
    data["downstream"]["2"]["both_minus_classical"] = {"mean": -0.2, "low": -0.3, "high": -0.1}
    data["downstream"]["10"]["both_minus_classical"] = {"mean": 0.0, "low": -0.1, "high": 0.1}
    data["choices"][0]["closed"] = True  # 2 shots, from scratch, generated over none.
    assert len(comparisons(data)) == 3 * 3 * 2
    assert tally(data) == (
        "Of 18 comparisons (classifier, shots, with or without classical augmentation) 15 show a "
        "gain, 1 shows a loss, 1 has an interval around zero and in 1 the gate left generated "
        "samples out."
    )


def test_a_tally_without_gains_says_none():
    assert "none shows a gain" in tally(evaluation(gain=0.0, half=0.01))


def test_one_shot_is_singular():
    data = evaluation(shots=(1,))
    assert sentence(at_reference(data)[0]).startswith("At 1\u00a0shot generated")
