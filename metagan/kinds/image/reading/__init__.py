"""From encoded pictures and raw arrays to samples."""
