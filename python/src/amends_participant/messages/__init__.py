"""Messages: the outbox for what goes out, the inbox for what comes in, and a participant that
answers by message."""
