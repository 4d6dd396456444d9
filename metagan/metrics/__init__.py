"""Quality of samples, measured on features; one metric per file, in float64 numpy.

KID (unbiased at any number of samples), precision, recall, density and coverage, FID at a stated
number of samples, diversity inside classes, and a check for copies of the support set. `quality`
gathers them; `features` says what they are computed from.
"""
