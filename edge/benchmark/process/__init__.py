"""What happens in a measuring process, and how one is started here or on a board."""
