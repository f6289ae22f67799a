"""A picture becomes a model's input, and positions in that input become pixels again."""
