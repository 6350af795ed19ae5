"""What a fit reports about itself."""
