"""Random faults on a simulated cluster of several nodes: `make chaos SEEDS=20`."""
