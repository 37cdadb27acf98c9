"""The chat page: the list of conversations, the messages, the composer. Knows events and stored messages, no model."""
