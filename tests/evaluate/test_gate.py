"""The gate uses generated samples only where they helped on validation."""

from metagan.config.settings import EvaluateConfig
from metagan.evaluate.downstream import Mix
from metagan.evaluate.gate import Candidate, candidates, choose

A, B = Candidate(0, Mix(0.25, 20)), Candidate(20, Mix(0.5, 20))


def test_the_candidate_with_the_largest_mean_gain_is_chosen() -> None:
    choice = choose({A: [0.01, 0.02, 0.03], B: [0.05, 0.04, 0.06]})
    assert choice.candidate == B
    assert not choice.rejected
    assert abs(choice.gain - 0.05) < 1e-12


def test_harm_closes_the_gate() -> None:
    choice = choose({A: [-0.01, -0.02], B: [-0.3, -0.2]})
    assert choice.rejected
    assert choice.candidate.mix.share == 0


def test_a_gain_within_its_own_error_closes_the_gate() -> None:
    # Mean 0.01, standard error 0.03.
    assert choose({A: [0.07, -0.02, -0.02]}).rejected


def test_no_candidate_closes_the_gate() -> None:
    assert choose({}).rejected


def test_a_share_of_zero_is_no_candidate_because_it_is_the_closed_gate() -> None:
    config = EvaluateConfig(adapt_steps=(0, 10), mix=(0.0, 0.5), generated_per_real=(5, 20))
    found = candidates(config)
    assert len(found) == 4
    assert all(candidate.mix.share == 0.5 for candidate in found)
