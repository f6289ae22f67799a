"""What the numbers say, how surely, and what speaks against quoting them."""
