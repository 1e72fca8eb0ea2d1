"""The service: follow the chain, apply the rules, keep the state, serve it."""
