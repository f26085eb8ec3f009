"""Azure Key Vault for one machine: its secrets, over TLS, for the unmodified SDKs."""
