"""From a dual to its solutions."""
