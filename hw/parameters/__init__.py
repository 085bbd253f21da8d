"""Parameter memories, the port that loads them, and slots that keep a set in use unaltered."""
