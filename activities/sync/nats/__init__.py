"""The hot store in NATS JetStream, by a client of our own on a plain connection: no consumer is ever made."""
