"""Adapt a trained run to a folder of pictures and draw new ones, from Python.

python examples/adapt_to_my_pictures.py runs/demo my_pictures/ out.png
"""

import sys

import metagan as mg

run = mg.load_run(sys.argv[1])
support = mg.read_support(sys.argv[2], run.form)[0]
target = mg.adapt_run(run, support)
samples = mg.generate_samples(run.gan, target, per_support=8, seed=0)
# Where the run reads dark ink on white as bright on dark, what it draws is swapped back.
rows = [[mg.to_samples(row[:16], target.form)] for row in samples]
mg.write_png(sys.argv[3], mg.grid(rows))
