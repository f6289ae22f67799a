"""A board as an agent sees it: what it can do and what it measures, real or pretended."""
