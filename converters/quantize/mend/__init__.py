"""What rounding does, heard at the outputs, and taken back in ranges, weights and biases; the worst of it left in float when a budget asks."""
