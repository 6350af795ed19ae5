"""From solutions to the regression function."""
