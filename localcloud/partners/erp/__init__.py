"""ERP: product master data and stock of a thousand products, over SOAP."""
