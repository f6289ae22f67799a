"""What operators look at: the fleet in words, and one connection for all who look."""
