"""Meta-learn an initialization on the built-in glyphs in one process, without Ray.

python examples/train_in_one_process.py runs/from-python
"""

import sys

import metagan as mg

config = mg.RunConfig.model_validate(
    {
        "data": {"max_classes_per_domain": 20},
        "outer": {"steps": 40, "meta_batch_size": 8},
        "warmup": {"steps": 30},
    }
)
outcome = mg.train_run(
    config, sys.argv[1], open_runner=mg.local_runner(config), reporter=mg.Console()
)
print(outcome)
