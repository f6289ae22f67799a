"""JetStream through nats-py: connections, keys, streams and files."""
