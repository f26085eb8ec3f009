"""Work that nobody asks for and everybody needs: relaying events, forgetting old messages."""
