"""Other ways to the same features: what a user could pick instead. Each is a script that prints one line of JSON."""
