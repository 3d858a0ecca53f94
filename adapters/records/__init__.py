"""What was recorded: histories of streams, measurements, the record beside a host's stream."""
