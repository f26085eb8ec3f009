"""A Service Bus for one machine: an AMQP 1.0 broker that the unmodified Azure SDKs talk to."""
