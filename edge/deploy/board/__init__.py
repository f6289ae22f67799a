"""The board's side of a deployment: `python -m edgekit.deploy.board VERB`, and what a board keeps, proves and runs."""
