"""Settings: reading them, their fields, and what each affects; needs no torch."""
