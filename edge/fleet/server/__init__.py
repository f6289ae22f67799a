"""What lies on the server and under which name, what it keeps, and the configuration that tells it so."""
