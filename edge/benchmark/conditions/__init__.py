"""Under which conditions a measurement was taken: the machine, its sensors and its power."""
