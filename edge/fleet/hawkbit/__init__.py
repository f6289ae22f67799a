"""A board in a fleet that Eclipse hawkBit runs."""
