"""The local gateway: executes the policies of `apim/` as Azure API Management does."""
