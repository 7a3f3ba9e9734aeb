"""Where results go: what writes files of all kinds, and what these are called."""
