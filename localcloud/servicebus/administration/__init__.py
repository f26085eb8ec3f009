"""The administration API: entities described, created, changed and deleted over HTTPS, as in Azure.

https://learn.microsoft.com/rest/api/servicebus/
"""
