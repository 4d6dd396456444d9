"""What an initialization is worth on domains it has never seen."""
