"""What people do, told from their postures over time: one file an activity, each with its score and the numbers behind it."""
