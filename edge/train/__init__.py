"""Training recipes for the networks that edgekit ships. They need the extra `[train]`; nothing else of edgekit does."""
