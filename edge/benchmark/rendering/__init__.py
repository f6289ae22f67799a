"""A report for the terminal, as Markdown and as a page."""
