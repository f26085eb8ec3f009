"""The local cloud's dashboard: what runs where, and what the orchestrations do. Read only."""
