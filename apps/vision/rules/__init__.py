"""The rule language: what is written in YAML, checked with line and column, and turned into events while the frames pass."""
