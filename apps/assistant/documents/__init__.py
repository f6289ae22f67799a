"""Reading documents: a file becomes plain text in blocks, each with the headings above it and its page."""
