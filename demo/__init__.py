"""A scripted walk through the platform, and the API client that tests and bench share with it."""
