"""Models over hyperparameters and of final losses."""
