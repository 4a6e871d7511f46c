"""What the local AWS lacks of AWS IoT, added inside its process and on top of its own operations."""
