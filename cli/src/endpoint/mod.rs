//! What other processes of this machine ask: credentials, secrets, health.
