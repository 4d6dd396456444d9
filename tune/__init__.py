"""Search the meta-hyperparameters with Ray Tune.

`config` has the settings of a search, `space` turns its dotted keys into Tune's distributions,
`objective` is what a trial is judged by, `trial` is one trial, `attempt` and `failures` are what
happens when one breaks, `search` runs them, and `results` is what was found.
"""
