"""Which channels hang together: labels that every operator's rule carries through the graph, and the families they form."""
