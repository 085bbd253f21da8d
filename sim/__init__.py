"""How an engine runs: simulator builds, benches, cycle counts, bit-exact verification."""
