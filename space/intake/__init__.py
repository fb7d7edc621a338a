"""From what a person hands over to frames."""
