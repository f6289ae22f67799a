"""Passes that clean a graph without changing what it computes: `graph -> PassResult`."""
