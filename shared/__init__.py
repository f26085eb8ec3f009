"""What every slice may use: a closed list of modules (see docs/adr)."""
