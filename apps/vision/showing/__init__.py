"""Pictures for whoever watches: what was found drawn over them, filters for fun, and heat where it was seen why."""
