"""The regtest node: libbitcoinkernel, Bitcoin Core's own consensus code, behind bitcoind's JSON-RPC."""
