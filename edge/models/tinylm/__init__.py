"""A tiny llama that edgekit trained itself, to show that everything runs: it has a style and knows nothing."""
