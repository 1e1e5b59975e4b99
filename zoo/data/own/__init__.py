"""Sources that the user hands over as objects."""
