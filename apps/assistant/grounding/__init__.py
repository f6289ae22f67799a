"""Finding passages: documents are cut into chunks, indexed by words and by vectors, and searched by both."""
