"""The mathematics: players, inner loop, meta-gradients, outer loop."""
