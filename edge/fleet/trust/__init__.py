"""Who may say what: keys and tokens, the fleet's folder that signs them, and orders under seal."""
