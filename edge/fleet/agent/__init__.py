"""What runs on every board: it hears of wishes, downloads, deploys, and says how it went, days offline included."""
