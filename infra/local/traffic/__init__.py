"""Traffic for a regtest chain: keys, hand-made transactions, scenarios and the generator."""
