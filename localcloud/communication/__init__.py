"""Azure Communication Services: takes email and SMS, shows them, and reports on their delivery."""
