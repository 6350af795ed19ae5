"""Multi-fidelity hyperparameter optimisation: Hyperband, ASHA and Swift-Hyperband."""
