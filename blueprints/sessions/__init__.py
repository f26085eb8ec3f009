"""Sessions: where a person is signed in, and signing out of one or of all."""
