"""`edgekit demo`: everything once, on what is in the box, told on one page."""
