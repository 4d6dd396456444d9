"""Return to an earlier checkpoint when training diverges; continue at a lower outer rate.

The checkpoint is the newest of those that come by themselves, every `checkpoint.every_steps` outer
steps, before the last whole one: not one of an interruption. So what is computed after it does not
depend on who was interrupted when, and a run that is resumed comes to the same bits.
"""

from collections.abc import Callable

from metagan.config.settings import RunConfig
from metagan.core.aggregate import DivergedError
from metagan.core.meta_learner import LearnerState, MetaLearner
from metagan.runs.checkpoint import load_checkpoint
from metagan.runs.run_folder import RunFolder
from metagan.workflow.setup import TrainSetup
from metagan.workflow.step_log import StepLog, rollback_step


def with_rollbacks(
    train: Callable[[], None],
    learner: MetaLearner,
    start: LearnerState,
    *,
    folder: RunFolder,
    setup: TrainSetup,
    config: RunConfig,
    log: StepLog,
) -> None:
    """Train; on divergence, train again from an earlier step, up to `outer.rollbacks` times.

    Args:
        train: Goes on from what the learner is at.
        learner: Moved in place.
        start: The learner's state before the first outer step.
        folder: Has the checkpoints.
        setup: The run's.
        config: The run.
        log: Told of every rollback.

    Raises:
        DivergedError: If it diverges once more, or there is nothing to go back to.
        CheckpointError: If the checkpoint is damaged; a resumed run writes it again.
    """
    while True:
        try:
            train()
        except DivergedError as error:
            step = rollback_step(learner.step, config)
            if learner.rollbacks >= config.outer.rollbacks or step is None:
                raise
            state = start
            if step:
                path = folder.checkpoints / f"step-{step}"
                if not path.is_dir():
                    raise
                state = load_checkpoint(path, setup.layout).state
            rollbacks = learner.rollbacks + 1
            learner.load(state)
            learner.rollbacks = rollbacks
            log.rolled_back(learner, error)
        else:
            return
