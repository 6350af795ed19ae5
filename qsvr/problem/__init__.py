"""The optimisation problem: kernel, dual, encoding, QUBO."""
