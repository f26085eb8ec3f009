"""Payment gateway: authorises, captures, voids and refunds amounts of money that nobody has."""
