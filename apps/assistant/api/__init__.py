"""The programming interface: OpenAI's, and the assistant's own. Routers; the shell mounts and guards them."""
