"""What is kept: clips cut from the encoded stream, events in a database, and no more of either than was allowed."""
