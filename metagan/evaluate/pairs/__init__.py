"""The yardstick `predict`: how near a domain's answers come to the truth, and to simpler rivals."""
