"""Identity: an OpenID Connect issuer that plays two Entra tenants, employees and clients."""
