"""Support vector regression solved as a QUBO, on quantum annealers or on your own machine."""
