"""Models that ship with edgekit, each trained by its own recipe and described by a card."""
