"""Networks by sample kind: generators, discriminators, classifiers.

Every adapted network has a `body` and a `head`, parameters only, and no running statistics.
"""
