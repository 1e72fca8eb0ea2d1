"""Who may call the API: keys, tokens, and the ring of keys that signs the tokens."""
