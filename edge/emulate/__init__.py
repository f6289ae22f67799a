"""A board in software: its processor core, its packages and its card, on a computer that has none of them."""
