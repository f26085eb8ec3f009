"""PostgreSQL's and Valkey's doors as Azure has them: TLS, and a token for the password."""
