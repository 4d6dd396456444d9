"""Runs on Ray: the workers of a run, jobs on a cluster, and what may stop both."""
