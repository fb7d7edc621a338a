"""The extension as it meets the world: its scripts in Node, and all of it in a browser."""
