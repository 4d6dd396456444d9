"""What only a CUDA device can show; skipped where there is none."""
