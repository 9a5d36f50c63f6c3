"""Access: who may ask what of the server, how much, how fast, and under which lock on the line."""
