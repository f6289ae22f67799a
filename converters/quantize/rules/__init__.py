"""What operators mean to integers, and how each family of engines wants them placed."""
